"""What stands around the node: FHIR clients in, subscribers and sinks out."""

from node.cli.client import Client
from node.doctor.finding import Check, Said, failure, not_applicable, ok
from node.doctor.scene import Scene
from node.errors import ChartsealError


def fhir(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    at = scene.settings.api
    if at.tls_cert_file is not None:
        host = "127.0.0.1" if at.listen.host in ("0.0.0.0", "::") else at.listen.host  # noqa: S104
        why = scene.machine.connects(host, at.listen.port)
        return ok(f"{at.listen} takes connections") if why is None else failure(str(why))
    try:
        Client(f"http://{at.listen}", timeout_s=5.0).get("/fhir/metadata")
    except ChartsealError as error:
        return failure(f"/fhir/metadata: {error.code}")
    return ok("/fhir/metadata answers")


def subscriptions(_scene: Scene) -> Said:
    return not_applicable("this version pushes to nobody: clients read /v1/events")


def streams(_scene: Scene) -> Said:
    return not_applicable("this version has no outgoing sinks (Kafka, NATS, databases)")


def hl7(_scene: Scene) -> Said:
    return not_applicable("this version speaks no HL7 v2")


CHECKS = (
    Check(
        "sinks.fhir", "the FHIR interface answers", fhir, "see api.listen and the node's log"
    ),
    Check("sinks.subscriptions", "subscribers keep up", subscriptions, "nothing"),
    Check("sinks.streams", "sinks keep up", streams, "nothing"),
    Check("sinks.hl7", "HL7 v2 is served", hl7, "nothing"),
)
