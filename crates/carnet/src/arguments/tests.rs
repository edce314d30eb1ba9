use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn the_help_lists_every_command() {
    let help = Arguments::command().render_help().to_string();
    expect_test::expect![[r#"
        Carnet licenses downloads: it lets members take titles offline and holds every copy to the rules

        Usage: carnet <COMMAND>

        Commands:
          serve     Run every role in one process on the embedded store, as a configuration file says
          demo      Run everything on this machine with sample titles, sample rules and two members
          policy    Check, try, explain and compare policies
          keys      Make and seal keys
          store     Look at a store that no process has open, or make it remember more
          simulate  Drive the real engine through a world of members, devices and faults, and audit it
          openapi   Print the OpenAPI document of the HTTP APIs
          help      Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help (see more with '--help')
          -V, --version  Print version
    "#]].assert_eq(&help);
}

#[test]
fn the_demo_needs_no_options() {
    let Command::Demo(demo) = Arguments::parse_from(["carnet", "demo"]).command else {
        panic!("`demo` is not the demo")
    };
    assert_eq!(demo.data_dir, PathBuf::from("data/demo"));
    assert_eq!(demo.listen, "127.0.0.1:8080".parse().unwrap());
    assert!(demo.policy.is_none() && demo.catalogue.is_none() && demo.media.is_none());
}
