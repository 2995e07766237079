//! Mistakes of rosters for a cluster: each with its place, the offending text and what to do, and
//! all of them at once.

use coordinator_roster::reference;

use super::Folder;
use super::mistakes::refused;

const PLATFORM: &str =
    "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\n";
const ROLE: &str = "[[role]]\nkey = \"a\"\n";

/// A roster with this line in `[platform.kubernetes]`, which is line 6.
fn platform(line: &str) -> String {
    format!("{PLATFORM}image = \"agent:1\"\n{line}\n{ROLE}")
}

/// A roster with these lines in its role, from line 8 on.
fn role(lines: &str) -> String {
    format!("{PLATFORM}image = \"agent:1\"\n{ROLE}{lines}\n")
}

fn accepted(roster: &str) {
    let loaded = Folder::with_briefs(roster).load();
    assert!(loaded.is_ok(), "{roster}\n{}", loaded.map(drop).err().unwrap_or_default());
}

#[test]
fn every_mistake_of_a_roster_for_a_cluster_is_reported_in_one_run() {
    let folder = Folder::with_briefs(include_str!("kubernetes_mistakes.toml"));
    folder.write("job.yaml", include_str!("kubernetes_mistakes.yaml"));
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!("every_mistake", run.stderr);
}

#[test]
fn a_fleet_without_an_image_is_refused_with_what_to_write() {
    let hint = "add `image = \"images.example.com/team/agent:1.0\"` to [platform.kubernetes]";
    refused(&format!("{PLATFORM}{ROLE}"), "4:1", &["no image for role `a`", hint]);
    let kind_alone = format!("fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n{ROLE}");
    refused(&kind_alone, "3:8", &["no image for role `a`", hint]);
    let one_of_two =
        format!("{PLATFORM}{ROLE}[role.kubernetes]\nimage = \"agent:1\"\n[[role]]\nkey = \"b\"\n");
    refused(&one_of_two, "4:1", &["no image for role `b`", "or to [role.kubernetes]"]);
    let none_of_three = format!("{PLATFORM}{ROLE}[[role]]\nkey = \"b\"\n[[role]]\nkey = \"c\"\n");
    refused(&none_of_three, "4:1", &["no image for role `a` and 2 more"]);
}

#[test]
fn an_invalid_image_reference_is_refused_with_the_reason() {
    let image = |text: &str| format!("{PLATFORM}image = \"{text}\"\n{ROLE}");
    let wrong = [
        ("", "write an image such as"),
        ("my image:1", "an image has no spaces"),
        ("agent:1\\n", "an image has no control characters"),
        ("https://images.example.com/agent", "without `https://`"),
        ("images.example.com/Team/agent", "its path is lower case"),
        ("agent:", "write an image such as"),
        ("agent@sha256:12", "write an image such as"),
        ("${IMAGE}", "write an image such as"),
    ];
    for (text, why) in wrong {
        refused(&image(text), "5:9", &["bad `image`", why]);
    }
    let digest = "0123456789abcdef".repeat(4);
    let pinned = format!("[2001:db8::1]:5000/a/b__c-d.e:v1@sha256:{digest}");
    for text in ["agent", "agent:1.0_RC", "localhost:5000/a/b", "Images.example.com/agent", &pinned]
    {
        accepted(&image(text));
    }
}

#[test]
fn names_that_no_cluster_takes_are_refused() {
    refused(&platform("namespace = \"My_Agents\""), "6:13", &["a-z, 0-9 and `-`"]);
    refused(
        &platform(&format!("namespace = \"{}\"", "x".repeat(64))),
        "6:13",
        &["at most 63 characters"],
    );
    refused(
        &platform("service_account = \"-a\""),
        "6:19",
        &["with a letter or digit at both ends"],
    );
    refused(
        &platform("env_from = [\"model-key\", \"MODEL_KEY\"]"),
        "6:26",
        &["bad entry in `env_from`: \"MODEL_KEY\""],
    );
    refused(
        &platform("env_from = \"model-key\""),
        "6:12",
        &["holds a string", "a list of names in quotes"],
    );
    refused(&platform("priority_class = \"\""), "6:18", &["bad `priority_class`"]);
    refused(&platform("queue_name = \"a.b\""), "6:14", &["bad `queue_name`"]);
    refused(&platform("node_selector = { \"a b\" = \"c\" }"), "6:19", &["`kubernetes.io/arch`"]);
    refused(
        &platform("node_selector = { a = \"b c\" }"),
        "6:23",
        &["bad text in `node_selector`: \"b c\""],
    );
    let longest = format!("namespace = \"{}\"", "x".repeat(63));
    accepted(&platform(&longest));
}

#[test]
fn quantities_are_written_as_kubernetes_writes_them() {
    let limits = |text: &str| platform(&format!("resources.limits = {{ cpu = \"{text}\" }}"));
    for text in
        ["0", "1", "500m", "0.5", ".5", "1.", "+2", "1e3", "1E-3", "1k", "1M", "1Gi", "7Ei", "100n"]
    {
        accepted(&limits(text));
    }
    let wrong = [
        ("", "write a quantity such as"),
        ("-1", "not negative"),
        ("1 Gi", "no spaces"),
        ("1GB", "no `B`"),
        ("1K", "write `k` for thousands, `Ki` for 1024"),
        ("one", "write a quantity such as"),
        ("1Gi2", "write a quantity such as"),
        ("0x10", "write a quantity such as"),
    ];
    for (text, why) in wrong {
        refused(&limits(text), "6:28", &["bad quantity in `limits`", why]);
    }
    refused(&platform("resources.limits = { cpu = 1 }"), "6:28", &["write a quantity in quotes"]);
    refused(
        &platform("resources.limits = { memroy = \"1Gi\" }"),
        "6:22",
        &["write `cpu`, `memory`"],
    );
    refused(&platform("resources.limit = { cpu = \"1\" }"), "6:11", &["did you mean `limits`?"]);
}

#[test]
fn a_toleration_names_its_taint() {
    refused(
        &platform("tolerations = [{ value = \"x\" }]"),
        "6:26",
        &["has a `value` and no `key`"],
    );
    refused(
        &platform("tolerations = [{ effect = \"NoSchedul\" }]"),
        "6:27",
        &["did you mean `NoSchedule`?"],
    );
    refused(
        &platform("tolerations = [{ key = \"a\", operator = \"Exists\" }]"),
        "6:29",
        &["not one of key, value, effect"],
    );
}

#[test]
fn a_claim_has_its_own_size() {
    let both = platform("workspace = \"claim\"\nworkspace_size = \"1Gi\"");
    refused(&both, "7:18", &["a claim has its own size", "take it out"]);
    refused(&platform("workspace = \"pvc\""), "6:13", &["one of empty-dir, claim"]);
}

#[test]
fn a_finished_job_must_outlast_every_wait_that_it_is_the_memory_of() {
    let hint = "raise `ttl`, or lower";
    // An hour of backoff, spread by a tenth.
    refused(
        &platform("ttl = \"66m\""),
        "6:7",
        &["`ttl` is 1h 6m, but `backoff_cap` lets a slot wait up to 1h 6m", hint],
    );
    accepted(&platform("ttl = \"67m\""));
    // Also where nothing waits, the next cycle writes down what came of a session.
    let at_once = |ttl: &str| {
        let defaults = "[defaults]\nbackoff_base = \"0s\"\n";
        format!("{PLATFORM}image = \"agent:1\"\nttl = \"{ttl}\"\n{defaults}{ROLE}")
    };
    let remedy = "raise `ttl` to 13m 20s or more, or lower `deadline`";
    refused(&at_once("13m"), "6:7", &["`ttl` is 13m, but a cycle may take 3m 20s", remedy]);
    accepted(&at_once("800s"));
    refused(&role("backoff_cap = \"24h\""), "8:15", &["`ttl` is 1day, but `backoff_cap`", hint]);
    refused(
        &role("min_interval = \"36h\""),
        "8:16",
        &["`min_interval` lets a slot wait up to 1day 12h"],
    );
    let defaults =
        format!("{PLATFORM}image = \"agent:1\"\n[defaults]\nmin_interval = \"36h\"\n{ROLE}");
    refused(&defaults, "7:16", &["`min_interval` lets"]);
    // A backoff that is off has no wait.
    accepted(&role("backoff_base = \"0s\"\nbackoff_cap = \"48h\""));
}

#[test]
fn no_secret_of_the_coordinator_is_copied_into_a_job() {
    let roster = role("env = { MODEL_KEY = \"x${TOKEN}\", PLAIN = \"$TOKEN $(TOKEN)\" }");
    let run =
        Folder::with_briefs(&roster).command(&["check"]).env("TOKEN", "s3cret-value").output();
    let told = String::from_utf8(run.expect("the program starts").stderr).expect("text");
    assert!(!told.contains("s3cret-value"), "{told}");
    refused(
        &roster,
        "8:21",
        &["the value of `MODEL_KEY` would copy `TOKEN` into the Job", "in `env_from`"],
    );
}

/// Scenario 33: a text that no program could be started with, or that makes the Job too large.
#[test]
fn texts_that_fit_no_job_are_refused_before_one_is_created() {
    let long = |name: &str, bytes: usize| format!("{name} = \"{}\"", "x".repeat(bytes));
    refused(
        &role(&format!("env = {{ {} }}", long("TASK_JSON", 129 * 1024))),
        "8:7",
        &["the variable TASK_JSON of `a` is too long: 130 KiB", "less than 128 KiB"],
    );
    let three = ["A", "B", "C"].map(|name| long(name, 90 * 1024)).join(", ");
    refused(
        &role(&format!("env = {{ {three} }}")),
        "7:7",
        &[
            "the Job of `a` would be too large: 27",
            "at most 256",
            "into the image, or into a Secret",
        ],
    );
    let two = ["A", "B"].map(|name| long(name, 120 * 1024)).join(", ");
    accepted(&role(&format!("env = {{ {two} }}")));
}

/// Scenario 34: names at their limits.
#[test]
fn names_that_two_roles_could_share_are_refused() {
    let named = |key: &str| format!("{PLATFORM}image = \"agent:1\"\n[[role]]\nkey = \"{key}\"\n");
    for key in [&"x".repeat(63), &"x".repeat(29), "dev-1", "Dev", "dev_", "1dev"] {
        refused(&named(key), "7:7", &["a role's key is 1 to 28 characters of a-z, 0-9 and `_`"]);
    }
    refused(&role("[[role]]\nkey = \"a\""), "9:7", &["role `a` is defined twice"]);
}

#[test]
fn a_key_in_the_wrong_place_is_sent_to_the_right_one() {
    refused(
        &role("image = \"agent:2\""),
        "8:1",
        &["belongs in [platform.kubernetes] or [role.kubernetes]"],
    );
    refused(
        &role("[role.kubernetes]\nttl = \"1h\""),
        "9:1",
        &["unknown key `ttl`", "belongs in [platform.kubernetes]"],
    );
    refused(&platform("service_acount = \"a\""), "6:1", &["did you mean `service_account`?"]);
    refused(&platform("[platform.kubernets]"), "6:11", &["did you mean `kubernetes`?"]);
}

/// Texts that are the same in TOML and in JSON.
#[test]
fn the_schema_and_the_program_agree_on_what_a_cluster_takes() {
    let schema = reference::schema();
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let samples = [
        ("image", r#""agent:1""#, true),
        ("image", r#""my image""#, false),
        ("image", r#""A/B""#, false),
        ("namespace", r#""agents-1""#, true),
        ("namespace", r#""agents.1""#, false),
        ("service_account", r#""agents.1""#, true),
        ("service_account", r#""agents..1""#, false),
        ("env_from", r#"["a", "b.c"]"#, true),
        ("env_from", r#"["a", "B"]"#, false),
        ("image_pull_secrets", r#""a""#, false),
        ("queue_name", r#""a_b""#, false),
        ("workspace", r#""claim""#, true),
        ("workspace", r#""disk""#, false),
        ("workspace_size", r#""10Gi""#, true),
        ("workspace_size", r#""10GiB""#, false),
        ("start_timeout", r#""5m""#, true),
        ("ttl", "3600", false),
        ("unknown", r#""x""#, false),
    ];
    for (key, value, is_valid) in samples {
        let kubernetes = format!(r#"{{"{key}": {value}}}"#);
        let document =
            format!(r#"{{"fleet": "demo", "platform": {{"kubernetes": {kubernetes}}}}}"#);
        let document = serde_json::from_str(&document).expect("the sample is JSON");
        assert_eq!(validator.is_valid(&document), is_valid, "schema: {key} = {value}");
        let loaded =
            Folder::bare(format!("fleet = \"demo\"\n[platform.kubernetes]\n{key} = {value}\n"))
                .load();
        assert_eq!(loaded.is_ok(), is_valid, "program: {key} = {value}");
    }
}

#[test]
fn a_secret_of_the_coordinator_is_refused_wherever_the_roster_names_it() {
    let hint = "name another Secret: `coordinator` and all that begin with `coordinator-`";
    let told = |key: &str, name: &str| {
        format!("`{key}` gives the coordinator's Secret `{name}` to agents")
    };
    for key in ["env_from", "image_pull_secrets"] {
        let line = format!("{key} = [\"agents\", \"coordinator-github\"]");
        let place = format!("6:{}", key.len() + 4);
        refused(&platform(&line), &place, &[&told(key, "coordinator-github"), hint]);
    }
    let own = "[role.kubernetes]\nenv_from = [\"coordinator\"]";
    refused(&role(own), "9:12", &[&told("env_from", "coordinator"), hint]);
    let account = platform("service_account = \"coordinator\"");
    refused(
        &account,
        "6:19",
        &["`service_account` is `coordinator`, the coordinator's own", "coordinator-session"],
    );
    accepted(&platform("env_from = [\"coordinators\", \"my-coordinator-github\"]"));
    accepted(&platform("service_account = \"coordinator-session\""));
}

#[test]
fn a_deadline_beyond_the_largest_that_the_cluster_accepts_is_refused() {
    let told = "its `time_limit` and `start_timeout` together";
    let longest = "a Job of `a` could last longer than 365 days";
    refused(
        &role("time_limit = \"365d\""),
        "8:14",
        &[longest, told, "lower `time_limit` or `start_timeout`"],
    );
    let defaults = platform("[defaults]\ntime_limit = \"365d\"");
    refused(&defaults, "7:14", &[longest, told]);
    let start = platform("start_timeout = \"365d\"");
    refused(&start, "6:17", &[longest, told]);
    accepted(&role("time_limit = \"364d\""));
}
