"""The command of the package: python -m pha, and the script `pha`"""
import os
import sys

from ._library import HERE


def main():
    command = os.path.join(HERE, "prefix", "bin", "pha")
    os.execv(command, [command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
