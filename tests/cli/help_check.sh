pha check --help
