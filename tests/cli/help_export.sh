pha export --help
