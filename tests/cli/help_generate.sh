pha generate --help
