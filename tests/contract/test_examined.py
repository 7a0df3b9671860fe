"""What each real server tells the doctor of itself; what is missing and can be made is made."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from ferris import adapters
from ferris.adapters.elasticsearch_checkup import version_findings
from ferris.config import PACKAGES_BUCKET, TOPICS
from ferris.errors import BackendError, FerrisError
from ferris.findings import Examined, Finding, clock
from ferris.lanes import LANES
from ferris.ports import Record, Retention


def examined(backend: object) -> list[Finding]:
    assert isinstance(backend, Examined)
    return list(backend.examine())


def texts(found: list[Finding]) -> str:
    return "\n".join(f"{finding.level} {finding.text} {finding.remedy}" for finding in found)


def prefixed(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def closed() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.real
@pytest.mark.parametrize("scheme", ["kafka", "kafka+confluent"])
def test_kafka_makes_its_topics_and_counts_their_partitions(
    real: Callable[[str], str], scheme: str, request: pytest.FixtureRequest
) -> None:
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    url = urlsplit(prefixed(real("FERRIS_EVENT_LOG"), name))._replace(scheme=scheme, query="partitions=2")
    log = adapters.open_event_log(url.geturl())
    found = examined(log)
    assert {finding.level for finding in found} == {"ok"}, texts(found)
    assert "Kafka " in texts(found)
    assert f"{len(TOPICS)} topics with 2 partitions" in texts(found)
    assert "GiB free" in texts(found)
    assert {topic.name for topic in log.topics()} >= set(TOPICS)
    more = adapters.open_event_log(url._replace(query="partitions=3").geturl())
    request.addfinalizer(lambda: _forget(url.netloc, name))
    few = [finding for finding in examined(more) if finding.level == "warning"]
    assert len(few) == len(TOPICS)
    assert "--partitions 3" in few[0].remedy


@pytest.mark.real
def test_kafka_need_not_bring_to_the_disk_what_is_of_use_for_moments(
    real: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    name = f"lasting-{uuid.uuid4().hex[:8]}"
    url = urlsplit(prefixed(real("FERRIS_EVENT_LOG"), name))
    log = adapters.open_event_log(url.geturl(), retention={"notices": Retention(lasting=False)})
    request.addfinalizer(lambda: _forget(url.netloc, name))
    log.append("notices", [Record(b"soon forgotten")])
    log.append("events", [Record(b"kept")])
    admin = KafkaAdminClient(bootstrap_servers=url.netloc)
    topics = [f"{name}.notices", f"{name}.events"]
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, {"flush.messages": None}) for topic in topics]
    found = admin.describe_configs(asked, config_filter="all")["topic"]
    admin.close()
    never = str((1 << 63) - 1)
    assert [found[topic]["flush.messages"]["value"] for topic in topics] == [never, "1"], (
        "each record is on the disk when it is answered, but for those that need not last"
    )


def _forget(server: str, prefix: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=server)
    admin.delete_topics([topic for topic in admin.list_topics() if topic.startswith(f"{prefix}.")])
    admin.close()


@pytest.mark.real
def test_minio_makes_its_bucket(real: Callable[[str], str]) -> None:
    store = adapters.open_object_store(prefixed(real("FERRIS_OBJECT_STORE"), f"d{uuid.uuid4().hex[:8]}"))
    found = examined(store)
    assert {finding.level for finding in found} == {"ok"}, texts(found)
    assert store.buckets() == [PACKAGES_BUCKET]


@pytest.mark.real
def test_consul_tells_version_and_leader(real: Callable[[str], str]) -> None:
    found = examined(adapters.open_config_store(real("FERRIS_CONFIG_STORE")))
    assert {finding.level for finding in found} == {"ok"}, texts(found)
    assert "Consul 1." in texts(found)
    assert "with a leader" in texts(found)


@pytest.mark.real
def test_elasticsearch_makes_its_templates(real: Callable[[str], str]) -> None:
    name = f"test{uuid.uuid4().hex[:8]}"
    found = examined(adapters.open_ops_store(prefixed(real("FERRIS_OPS_STORE"), name)))
    assert {finding.level for finding in found} == {"ok"}, texts(found)
    assert f"{name}-logs" in texts(found)
    assert "Elasticsearch 8." in texts(found)


@pytest.mark.real
def test_rabbitmq_tells_its_lanes(real: Callable[[str], str]) -> None:
    url, api = real("FERRIS_BROKER"), real("FERRIS_BROKER_API")
    broker = adapters.open_broker(url, api)
    assert broker is not None
    assert set(broker.waiting()) == set(LANES)
    found = examined(broker)
    assert "RabbitMQ 3." in texts(found)
    assert "GiB free" in texts(found)
    assert not [finding for finding in found if finding.level == "failure"], texts(found)
    parts = urlsplit(api)
    wrong = parts._replace(netloc=f"ferris:wrong@{parts.netloc.rpartition('@')[2]}").geturl()
    broker = adapters.open_broker(url, wrong)
    with pytest.raises(BackendError, match="FERRIS_BROKER_API") as refused:
        examined(broker)
    assert "wrong@" not in str(refused.value)


@pytest.mark.parametrize(
    ("opened", "setting"),
    [
        (lambda at: adapters.open_event_log(f"kafka://{at}"), "FERRIS_EVENT_LOG"),
        (lambda at: adapters.open_event_log(f"kafka+confluent://{at}/some"), "FERRIS_EVENT_LOG"),
        (lambda at: adapters.open_object_store(f"s3://key:secretsecret@{at}?secure=0"), "FERRIS_OBJECT_STORE"),
        (lambda at: adapters.open_config_store(f"consul://{at}"), "FERRIS_CONFIG_STORE"),
        (lambda at: adapters.open_ops_store(f"elasticsearch://u:secretsecret@{at}"), "FERRIS_OPS_STORE"),
        (lambda at: adapters.open_broker(f"amqp://u:secretsecret@{at}//"), "FERRIS_BROKER"),
    ],
    ids=["kafka", "confluent", "s3", "consul", "elasticsearch", "rabbitmq"],
)  # fmt: skip
def test_a_server_that_is_not_there(opened: Callable[[str], object], setting: str) -> None:
    with pytest.raises(FerrisError) as refused:
        examined(opened(closed()))
    assert setting in str(refused.value)
    assert "secretsecret" not in str(refused.value)


def test_majors_of_client_and_server_must_match() -> None:
    [fits, newer, older] = version_findings(["8.17.0", "9.1.2", "7.17.9"])
    assert (fits.level, newer.level, older.level) == ("ok", "failure", "failure")
    assert "use Elasticsearch 8" in newer.remedy


def test_a_clock_that_is_wrong_is_told() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    assert not list(clock("x", now, now - timedelta(seconds=30), now + timedelta(seconds=30)))
    [late] = clock("x", now - timedelta(minutes=1), now, now)
    assert (late.level, "60 s" in late.text, "NTP" in late.remedy) == ("warning", True, True)
