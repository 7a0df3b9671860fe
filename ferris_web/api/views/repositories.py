"""Repositories of a project: what opens them goes in and never comes out."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web import wiring
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.serializers import projects as project_shapes
from ferris_web.api.serializers import repositories as shapes
from ferris_web.catalog import repositories as catalog
from ferris_web.catalog import selectors, sync_queue
from ferris_web.catalog.models import Repository, RepositorySecret, SyncRun
from ferris_web.catalog.preview import project_preview, sync_preview


class RepositoryList(APIView):
    """Repositories."""

    @extend_schema(
        operation_id="projects_repositories_list",
        summary="A project's repositories",
        responses=shapes.Repositories,
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.Repositories({"results": _rows(name).order_by("pk")}).data)

    @extend_schema(
        summary="Add a repository",
        description="Nothing is read from it yet: sync the project next. An ssh URL gets a deploy key, whose "
        "public half is in the answer. 409 when the project has this repository already.",
        request=shapes.RepositoryIn,
        responses={201: shapes.RepositorySaved},
    )
    def post(self, request: Request, name: str) -> Response:
        project = selectors.project_get(name)
        given = body_of(request, shapes.RepositoryIn)
        added = catalog.repository_add(project.name, **given, actor=actor_of(request), now=datetime.now(UTC))
        return Response(_saved(name, added), status=201)


class RepositoryDetail(APIView):
    """One repository."""

    @extend_schema(summary="One repository", responses=shapes.ProjectRepository)
    def get(self, request: Request, name: str, pk: int) -> Response:
        return Response(_shown(name, pk))

    @extend_schema(summary="Change it", request=shapes.RepositoryChange, responses=shapes.RepositorySaved)
    def patch(self, request: Request, name: str, pk: int) -> Response:
        given = body_of(request, shapes.RepositoryChange)
        catalog.repository_change(_found(name, pk), **given, now=datetime.now(UTC))
        return Response(_saved(name, _found(name, pk)))

    @extend_schema(
        summary="Remove it",
        description="Its services stay with their history and are triggered no more. 409 while it is being synced.",
        responses={204: None},
    )
    def delete(self, request: Request, name: str, pk: int) -> Response:
        catalog.repository_remove(_found(name, pk), now=datetime.now(UTC))
        return Response(status=204)


class DeployKey(APIView):
    """The key pair that opens a repository over ssh."""

    @extend_schema(summary="Its deploy key, the public half", responses=shapes.KeyOfRepository)
    def get(self, request: Request, name: str, pk: int) -> Response:
        found = _found(name, pk)
        made = catalog.made_at(found, RepositorySecret.Kind.DEPLOY_KEY)
        return Response(shapes.KeyOfRepository({"public_key": found.public_key, "made_at": made}).data)

    @extend_schema(
        summary="Make a new deploy key",
        description="In the place of the one before, which opens nothing from then on. "
        "The private half is never shown.",
        request=None,
        responses={201: shapes.ProjectRepository},
    )
    def post(self, request: Request, name: str, pk: int) -> Response:
        catalog.deploy_key_make(_found(name, pk))
        return Response(_shown(name, pk), status=201)

    @extend_schema(
        summary="Remove the deploy key",
        description="The keys of the user who runs the platform open the repository from then on.",
        responses={204: None},
    )
    def delete(self, request: Request, name: str, pk: int) -> Response:
        catalog.deploy_key_drop(_found(name, pk))
        return Response(status=204)


class AcceptHostKey(APIView):
    """A host shows another key than the pinned one."""

    @extend_schema(
        summary="Accept the host's new key",
        description="It is pinned in the place of the known one. 409 when it is not the one that the host shows.",
        request=shapes.Fingerprint,
        responses=shapes.ProjectRepository,
    )
    def post(self, request: Request, name: str, pk: int) -> Response:
        given = body_of(request, shapes.Fingerprint)
        catalog.host_key_accept(_found(name, pk), given["fingerprint"])
        return Response(_shown(name, pk))


class PushSecret(APIView):
    """What proves a push of the repository's host."""

    @extend_schema(summary="Where pushes are taken", responses=shapes.PushesTaken)
    def get(self, request: Request, name: str, pk: int) -> Response:
        found = _found(name, pk)
        made = catalog.made_at(found, RepositorySecret.Kind.PUSH)
        return Response(shapes.PushesTaken({"address": _hook(found), "made_at": made}).data)

    @extend_schema(
        summary="Make a secret for pushes",
        description="In the place of the one before, and told this once. A webhook of GitHub, GitLab, Gitea, Forgejo "
        "or Bitbucket at `address` then asks for a sync after each push to the branch.",
        request=None,
        responses={201: shapes.PushSecret},
    )
    def post(self, request: Request, name: str, pk: int) -> Response:
        found = _found(name, pk)
        made = {"address": _hook(found), "secret": sync_queue.push_secret_make(found)}
        return Response(shapes.PushSecret(made).data, status=201)

    @extend_schema(summary="Take no pushes any more", responses={204: None})
    def delete(self, request: Request, name: str, pk: int) -> Response:
        sync_queue.push_secret_drop(_found(name, pk))
        return Response(status=204)


class Rollback(APIView):
    """Back to an earlier commit."""

    @extend_schema(
        summary="Roll back to a commit",
        description="One of its branch, also of before the first sync, or that it was synced at; 409 for others. "
        "It is kept there: neither a push nor its interval moves it on. 202 with the sync that does it; `preview` says "
        "before what would change.",
        request=shapes.RollbackIn,
        responses={202: project_shapes.SyncRun},
    )
    def post(self, request: Request, name: str, pk: int) -> Response:
        found, now = _found(name, pk), datetime.now(UTC)
        commit = body_of(request, shapes.RollbackIn)["commit"]
        catalog.repository_pin(found, commit, actor=actor_of(request), now=now)
        return _asked(found, SyncRun.Cause.ROLLBACK, request, now)


class Follow(APIView):
    """On again after a rollback."""

    @extend_schema(summary="Follow the branch again", request=None, responses={202: project_shapes.SyncRun})
    def post(self, request: Request, name: str, pk: int) -> Response:
        found = _found(name, pk)
        catalog.repository_follow(found)
        return _asked(found, SyncRun.Cause.PERSON, request, datetime.now(UTC))


class ProjectPreview(APIView):
    """What a sync would do."""

    @extend_schema(
        summary="Preview a sync",
        description="What a sync of another branch, or of a commit of one repository, would change. "
        "Nothing is changed.",
        request=shapes.PreviewIn,
        responses=shapes.Previews,
    )
    def post(self, request: Request, name: str) -> Response:
        project, given = selectors.project_get(name), body_of(request, shapes.PreviewIn)
        now, pk = datetime.now(UTC), given["repository"]
        if pk is None:
            if given["commit"]:
                raise ValidationError({"commit": ["goes with a repository"]})
            found = project_preview(project, branch=given["branch"], now=now)
        else:
            one = catalog.repository_get(project, pk)
            found = [sync_preview(one, branch=given["branch"], commit=given["commit"], now=now)]
        return Response(shapes.Previews({"previews": found}).data)


def _asked(found: Repository, cause: str, request: Request, now: datetime) -> Response:
    run = sync_queue.sync_request(found, cause, actor=actor_of(request), now=now)
    return Response(project_shapes.SyncRun(run).data, status=202)


def _hook(found: Repository) -> str:
    return f"{wiring.config().public_url}/hooks/repositories/{found.pk}/"


def _rows(name: str) -> QuerySet[Repository]:
    project = selectors.project_get(name)
    return Repository.objects.filter(project=project).prefetch_related("secrets")


def _found(name: str, pk: int) -> Repository:
    return catalog.repository_get(selectors.project_get(name), pk)


def _saved(name: str, row: Repository) -> dict[str, object]:
    taken = project_shapes.Taken(catalog.names_taken(row), many=True).data
    return {**_shown(name, row.pk), "taken": taken}


def _shown(name: str, pk: int) -> dict[str, object]:
    _found(name, pk)
    return shapes.ProjectRepository(_rows(name).get(pk=pk)).data  # type: ignore[no-any-return]
