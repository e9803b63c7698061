pha completion --help
