"""What swarm, Nomad and ECS are told to run: `docker service inspect`, `nomad job inspect`, `aws ecs
describe-task-definition`. What they ran before counts too, as they may roll back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.in_use import InUse
from ocigc.inuse.mention import Source, all_fit, documents, field, union

_CONTAINERS = frozenset(("TaskTemplate", "ContainerSpec"))


def _is_services(document: object) -> bool:
    """Objects that each have a `Spec` of containers, or of tasks."""
    return all_fit(
        documents(document),
        lambda each: isinstance(each.get("Spec"), dict) and not _CONTAINERS.isdisjoint(each["Spec"]),
    )


def _read_services(document: object, name: str) -> InUse:
    return union(
        [
            found
            for number, entry in enumerate(documents(document))
            for key in ("Spec", "PreviousSpec")
            for found in _containers(entry.get(key) or {}, f"{name}: entry {number}: {key}")
        ]
    )


def _containers(spec: object, where: str) -> Iterator[InUse]:
    for each in (spec, spec.get("TaskTemplate")) if isinstance(spec, dict) else ():
        if isinstance(each, dict) and isinstance(container := each.get("ContainerSpec"), dict):
            yield field(container, "Image", f"{where}: ContainerSpec")


SERVICES = Source("`docker service inspect`", _is_services, _read_services)


def _jobs(document: object) -> list[Any]:
    """The jobs among Nomad's answers, each at the top or below `Job`."""
    return [each.get("Job", each) if isinstance(each, dict) else each for each in documents(document)]


def _is_nomad(document: object) -> bool:
    """Objects with `TaskGroups`."""
    return all_fit(_jobs(document), lambda job: isinstance(job.get("TaskGroups"), list))


def _read_nomad(document: object, name: str) -> InUse:
    parts = []
    for job in _jobs(document):
        for group in job["TaskGroups"]:
            for task in (group.get("Tasks") if isinstance(group, dict) else None) or ():
                config = task.get("Config") if isinstance(task, dict) else None
                if isinstance(config, dict):
                    parts.append(field(config, "image", f"{name}: job {job.get('ID')}: task {task.get('Name')}"))
    return union(parts)


NOMAD = Source("`nomad job inspect`", _is_nomad, _read_nomad)


def _is_ecs(document: object) -> bool:
    """Objects with `containerDefinitions`, or that below `taskDefinition`."""
    return all_fit(documents(document), lambda each: _definitions(each) is not None)


def _definitions(document: dict[str, object]) -> list[object] | None:
    task = document.get("taskDefinition", document)
    found = task.get("containerDefinitions") if isinstance(task, dict) else None
    return found if isinstance(found, list) else None


def _read_ecs(document: object, name: str) -> InUse:
    parts = []
    for each in documents(document):
        for number, container in enumerate(_definitions(each) or ()):
            where = f"{name}: containerDefinitions[{number}]"
            if not isinstance(container, dict):
                raise UsageError(f"{where}: must be an object")
            parts.append(field(container, "image", where))
    return union(parts)


ECS = Source("`aws ecs describe-task-definition`", _is_ecs, _read_ecs)
