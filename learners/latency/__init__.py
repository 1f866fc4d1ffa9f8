"""What single layers take on this machine, timed in small models of their own (`build.build_table`)."""
