pha new --help
