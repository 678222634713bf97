"""The system under the node: limits, memory, kernel, Python and its libraries."""

from typing import Final

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene

DESCRIPTORS: Final = 65_536
DESCRIPTORS_MIN: Final = 1_024
MEMORY: Final = 512 << 20
GROUP_MEMORY: Final = 1 << 30
ENTROPY: Final = 128
TESTED: Final = ((3, 11), (3, 12))
# What pyproject.toml asks for; below, the node was never tried.
LIBRARIES: Final = {
    "aiohttp": (3, 14),
    "cryptography": (44, 0),
    "plyvel": (1, 5),
    "PyNaCl": (1, 5),
    "uvloop": (0, 21),
}


def descriptors(scene: Scene) -> Said:
    limit = scene.machine.descriptors_max()
    if limit < DESCRIPTORS_MIN:
        return failure(f"{limit} file descriptors at most")
    if limit < DESCRIPTORS:
        return warning(f"{limit} file descriptors at most, {DESCRIPTORS} are wanted")
    return ok(f"{limit} file descriptors")


def memory(scene: Scene) -> Said:
    left = scene.machine.memory_left()
    if left < MEMORY // 4:
        return failure(f"{left >> 20} MiB are left")
    return warning(f"{left >> 20} MiB are left") if left < MEMORY else ok(f"{left >> 20} MiB")


def group(scene: Scene) -> Said:
    limit = scene.machine.group_memory_max()
    if limit is None:
        return not_applicable("no memory limit on this group")
    say = f"{limit >> 20} MiB for this group"
    return warning(say) if limit < GROUP_MEMORY else ok(say)


def swap(scene: Scene) -> Said:
    used = scene.machine.swap_used()
    return warning(f"{used >> 20} MiB lie in swap") if used > 64 << 20 else ok("unused")


def huge_pages(scene: Scene) -> Said:
    mode = scene.machine.huge_pages()
    if mode is None:
        return not_applicable("this kernel does not say")
    return warning("always: forks and LevelDB stall") if mode == "always" else ok(mode)


def entropy(scene: Scene) -> Said:
    bits = scene.machine.entropy()
    if bits is None:
        return not_applicable("this kernel does not say")
    return failure(f"{bits} bits") if bits < ENTROPY else ok(f"{bits} bits")


def kernel(scene: Scene) -> Said:
    release = scene.machine.kernel()
    major = release.partition(".")[0]
    if not major.isdigit():
        return not_applicable(release)
    return warning(f"{release} is older than what was tried") if int(major) < 5 else ok(release)


def python(scene: Scene) -> Said:
    found = scene.machine.python()
    say = f"Python {found[0]}.{found[1]}"
    if found < TESTED[0]:
        return failure(f"{say} is too old")
    return ok(say) if found in TESTED else warning(f"{say} was not tried")


def libraries(scene: Scene) -> Said:
    old = []
    for name, least in LIBRARIES.items():
        found = scene.machine.library(name)
        if found is None:
            old.append(f"{name} is missing")
        elif found < least:
            old.append(f"{name} {'.'.join(map(str, found))}")
    return failure(", ".join(old)) if old else ok(f"{len(LIBRARIES)} libraries as wanted")


CHECKS = (
    Check(
        "os.descriptors",
        "enough files may be open at once",
        descriptors,
        "LimitNOFILE=65536 in the unit, or `ulimit -n 65536`",
    ),
    Check(
        "os.memory", "there is memory left", memory, "give the machine more, or end what has it"
    ),
    Check("os.group", "the memory group is large enough", group, "MemoryMax=2G or more"),
    Check("os.swap", "the node does not live in swap", swap, "more memory, or `swapoff -a`"),
    Check(
        "os.huge-pages",
        "transparent huge pages are not forced",
        huge_pages,
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    Check("os.entropy", "the kernel has randomness", entropy, "wait, or run an entropy daemon"),
    Check("os.kernel", "the kernel is one that was tried", kernel, "Linux 5 or later"),
    Check("os.python", "Python is one that was tried", python, "Python 3.11 or 3.12"),
    Check(
        "os.libraries",
        "libraries are as new as they must be",
        libraries,
        "install the node's own wheel again, with its dependencies",
    ),
)
