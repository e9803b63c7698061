pha convert --help
