pha report --help
