pha average --help
