"""Every secret that somebody may know of: its name and scope, who set it, who uses it. Never a value."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from ferris_web.catalog.models import Secret, SecretUse
from ferris_web.catalog.secret_uses import MOST_SHOWN

Projects = frozenset[int] | None


def secrets_known(
    projects: Projects,
    *,
    query: str = "",
    scope: str = "",
    project: str = "",
    service: str = "",
    unused: bool = False,
) -> QuerySet[Secret]:
    """The platform's, and those of these projects and their services (None: of all), by name; with `services`, how
    many of the services in these projects use it, and `used_by`, the latest of these uses.

    `query`: a part of the name. `project`, `service`: only what belongs to it. `unused`: only what none of these
    services has used.
    """
    found = Secret.objects.defer("ciphertext").select_related("project", "service__project")
    uses = SecretUse.objects.select_related("service").order_by("-at", "id")
    counted = Q()
    if projects is not None:
        found = found.filter(
            Q(scope=Secret.Scope.PLATFORM) | Q(project__in=projects) | Q(service__project__in=projects)
        )
        uses = uses.filter(service__project__in=projects)
        counted = Q(uses__service__project__in=projects)
    if query:
        found = found.filter(name__icontains=query)
    if scope:
        found = found.filter(scope=scope)
    if project:
        found = found.filter(Q(project__name=project) | Q(service__project__name=project))
    if service:
        found = found.filter(service__name=service)
    if unused:
        found = found.filter(~Exists(uses.order_by().filter(secret=OuterRef("pk"))))
    return found.annotate(services=Count("uses", filter=counted)).prefetch_related(
        Prefetch("uses", uses[:MOST_SHOWN], to_attr="used_by")
    )
