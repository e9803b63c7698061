pha init --help
