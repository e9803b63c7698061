pha version --help
