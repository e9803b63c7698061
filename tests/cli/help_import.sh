pha import --help
