"""Runs what the pages for newcomers show: blocks of sh and of python, in order, in a folder with texts.

    run.py PHA [LIBRARY] [PAGE ...]

Python that imports what this one lacks is left out, and that is said; PHA_TORCH_PYTHON names another one.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from readme import run_readme

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ["README.md", "docs/new.md", "docs/from-pytorch.md", "docs/from-llama-cpp.md"]
WORDS = "the river a town old ship sails past some lights and people who sing of winter while rain falls".split()


def texts(folder):
    os.makedirs(folder)
    for k in range(6):
        with open(os.path.join(folder, f"{k}.txt"), "w") as f:
            for i in range(600):
                line = [WORDS[(i * i * 7 + i * j * 13 + k * 31 + j * 5) % len(WORDS)] for j in range(12)]
                f.write(" ".join(line).capitalize() + ".\n")


def python_for(code, env):
    """A Python that has what the code imports; None: there is none."""
    modules = re.findall(r"^(?:import|from) (\w+)", code, re.M)
    for python in filter(None, [sys.executable, os.environ.get("PHA_TORCH_PYTHON")]):
        test = "import " + ", ".join(modules + (["torch"] if "transformers" in modules else []))
        if subprocess.run([python, "-c", test], env=env, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def run_page(page, env, work):
    left_out = False
    with open(os.path.join(TOP, page), encoding="utf-8") as f:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", f.read(), re.M | re.S)
    assert len(blocks) > 3 and all(kind in ("sh", "python") for kind, _ in blocks), f"{page}: sh and python only"
    for kind, code in blocks:
        command = ["bash", "-euc", code]
        if kind == "python":
            python = python_for(code, env)
            if not python:
                print(f"{page}: left out, for want of what it imports:\n  {code.splitlines()[0]}")
                left_out = True
                continue
            command = [python, "-B", "-c", code]
        elif left_out and "tuned" in code:  # what the Python that was left out writes
            continue
        done = subprocess.run(command, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace")
        if done.returncode:
            raise SystemExit(f"{page}: failed with status {done.returncode}:\n{code}\n{done.stdout}")
    print(f"{page}: {len(blocks)} blocks", flush=True)


def main():
    pha, library, pages = os.path.abspath(sys.argv[1]), sys.argv[2:3], sys.argv[3:] or PAGES
    work = tempfile.mkdtemp(prefix="pha-docs-")
    try:
        os.makedirs(os.path.join(work, "bin"))
        os.symlink(pha, os.path.join(work, "bin", "pha"))
        env = {k: v for k, v in os.environ.items() if not k.startswith("PHA_")}
        env.update(PATH=os.path.join(work, "bin") + os.pathsep + env["PATH"], HF_HUB_OFFLINE="1",
                   HF_HOME=os.path.join(work, "home"), TRANSFORMERS_VERBOSITY="error")
        if library:
            module = os.path.join(work, "module", "pha")
            shutil.copytree(os.path.join(TOP, "python", "pha"), module)
            with open(os.path.join(module, "_headers.py"), "w") as f:
                subprocess.run([sys.executable, os.path.join(TOP, "python", "headers.py"),
                                os.path.join(TOP, "include")], check=True, stdout=f)
            env.update(PYTHONPATH=os.path.dirname(module), PHA_LIBRARY=os.path.abspath(library[0]))
        for i, page in enumerate(pages):
            if page == "README.md":
                run_readme(TOP, work, env, lambda code: python_for(code, env) if library else None)
                continue
            folder = os.path.join(work, f"page{i}")
            texts(os.path.join(folder, "books"))
            run_page(page, env, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
