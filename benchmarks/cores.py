"""The cores that a program may use: hardware threads of one core count once, as in weft."""
import os


def cores(topology="/sys/devices/system/cpu"):
    """One CPU of each core of this process's affinity mask, sorted."""
    first = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            with open(f"{topology}/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
                core = file.read()
        except OSError:
            core = cpu
        first.setdefault(core, cpu)
    return list(first.values())
