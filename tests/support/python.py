"""python.py -- what tests in Python share: another Python for what this one lacks, surroundings, a row of functions"""
import os
import sys
import traceback


def elsewhere(missing, name="PHA_TORCH_PYTHON"):
    """Goes on in the Python that the variable names; without one the test is skipped."""
    other = os.environ.pop(name, None)
    if other and os.path.abspath(other) != sys.executable:
        os.execv(other, [other, "-B", *sys.argv])
    print(f"skipped: {missing}")
    sys.exit(77)


def forget_options():
    """The command reads its options from the environment: those of whoever calls the test are none of it."""
    for name in [n for n in os.environ if n.startswith("PHA_") and n != "PHA_ISA"]:
        del os.environ[name]


def run(functions, only=()):
    """Calls every function called test_NAME, or the named ones; returns an exit code."""
    failed = 0
    for name, test in [(n[5:], t) for n, t in list(functions.items()) if n.startswith("test_")]:
        if only and name not in only:
            continue
        try:
            test()
            print(f"ok   {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    return int(failed > 0)
