pha prepare --help
