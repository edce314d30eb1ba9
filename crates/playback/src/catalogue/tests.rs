use std::fmt::Write as _;
use std::io::Write as _;

use expect_test::expect;

use super::*;

/// A good line with some of its fields replaced; `null` takes a field away.
fn line(changes: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("id", r#""a-title""#),
        ("partner", r#""aurora""#),
        ("downloadable", "true"),
        ("availability", r#"[{"territories":["*"]}]"#),
        ("name", r#""A Title""#),
        ("runtime_seconds", "30"),
        ("manifests", r#"{"dash":"/media/a/manifest.mpd"}"#),
        ("key_ids", r#"{"video":"00112233445566778899aabbccddeeff"}"#),
    ];
    for (name, value) in changes {
        match fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(",")).replace('\n', " ")
}

fn read(text: &str) -> Result<Catalogue, CatalogueErrors> {
    Catalogue::read("titles.jsonl", text.as_bytes())
}

fn read_title(changes: &[(&str, &str)]) -> Title {
    read(&line(changes)).unwrap().titles().next().unwrap().clone()
}

fn territory(name: &str) -> Territory {
    Territory::new(name).unwrap()
}

fn window(from: Option<&str>, until: Option<&str>) -> Window {
    let instant = |text: &str| text.parse().unwrap();
    Window { from: from.map(instant), until: until.map(instant) }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a title has many fields")]
fn every_field_arrives() {
    let title = read_title(&[
        ("series", r#""lines""#),
        ("tags", r#"["night","new"]"#),
        ("downloadable", "false"),
        (
            "availability",
            r#"[{"territories":["*"],"except":["JP"],"until":"2030-01-01T00:00:00Z"},
                {"territories":["DE","AT"],"from":"2026-01-01T00:00:00+01:00"}]"#,
        ),
        ("name", r#""Zwölf Lichter""#),
        ("description", r#""Two lines:\none of them dark.""#),
        ("year", "2026"),
        ("maturity", r#""12+""#),
        ("maturity_rating", "12"),
        ("runtime_seconds", "5400"),
        (
            "images",
            r#"{"poster":{"url":"p.webp","width":480,"height":720},
                "backdrop":{"url":"https://img.example/b.webp","width":1280,"height":720}}"#,
        ),
        ("manifests", r#"{"dash":"a/manifest.mpd","hls":"https://cdn.example/a/master.m3u8"}"#),
        (
            "key_ids",
            r#"{"video":"00112233445566778899AABBCCDDEEFF","audio":"00112233-4455-6677-8899-aabbccddee00"}"#,
        ),
    ]);
    expect![[r#"
        Title {
            id: "a-title",
            partner: "aurora",
            series: Some(
                "lines",
            ),
            tags: [
                "night",
                "new",
            ],
            downloadable: false,
            availability: [
                Availability {
                    territories: EverywhereElse {
                        except: [
                            "JP",
                        ],
                    },
                    window: Window {
                        from: None,
                        until: Some(
                            2030-01-01T00:00:00.000Z,
                        ),
                    },
                },
                Availability {
                    territories: These(
                        [
                            "DE",
                            "AT",
                        ],
                    ),
                    window: Window {
                        from: Some(
                            2025-12-31T23:00:00.000Z,
                        ),
                        until: None,
                    },
                },
            ],
            name: "Zwölf Lichter",
            description: Some(
                "Two lines:\none of them dark.",
            ),
            year: Some(
                2026,
            ),
            maturity: Some(
                "12+",
            ),
            maturity_rating: Some(
                12,
            ),
            runtime_seconds: 5400,
            images: Images {
                poster: Some(
                    Image {
                        url: "p.webp",
                        width: 480,
                        height: 720,
                    },
                ),
                backdrop: Some(
                    Image {
                        url: "https://img.example/b.webp",
                        width: 1280,
                        height: 720,
                    },
                ),
            },
            manifests: Manifests {
                dash: Some(
                    "a/manifest.mpd",
                ),
                hls: Some(
                    "https://cdn.example/a/master.m3u8",
                ),
            },
            key_ids: [
                (
                    "video",
                    00112233445566778899aabbccddeeff,
                ),
                (
                    "audio",
                    00112233445566778899aabbccddee00,
                ),
            ],
        }
    "#]]
    .assert_debug_eq(&title);
}

#[test]
fn numbers_reach_their_bounds() {
    for (field, value) in [
        ("year", "1800"),
        ("year", "9999"),
        ("runtime_seconds", "1"),
        ("runtime_seconds", "2419200"),
    ] {
        assert!(read(&line(&[(field, value)])).is_ok(), "{field} = {value}");
    }
}

#[test]
fn what_is_left_out_is_absent() {
    let title = read_title(&[]);
    assert_eq!(title.series, None);
    assert_eq!(title.tags, []);
    assert_eq!((title.description, title.year, title.maturity), (None, None, None));
    assert_eq!(title.maturity_rating, None);
    assert_eq!(title.images, Images::default());
    assert_eq!(title.manifests.hls, None);
    let with_nulls = read_title(&[("series", "null"), ("tags", "null"), ("images", "null")]);
    assert_eq!(with_nulls.series, None);
}

/// Each row: what is changed in a good line, and all that is said about it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table: what is written, and what is said about it")]
fn bad_fields_are_named_with_their_remedy() {
    let long_text = format!("\"{}\"", "x".repeat(301));
    let long_url = format!("{{\"dash\":\"/{}\"}}", "x".repeat(2048));
    let many_tags = format!("[{}]", vec!["\"t\""; 65].join(","));
    let many_keys: Vec<_> = (0..33).map(|n| format!("\"k{n}\":\"{n:032x}\"")).collect();
    let many_keys = format!("{{{}}}", many_keys.join(","));
    let rows: &[(&str, &str)] = &[
        ("id", "null"),
        ("id", "7"),
        ("id", r#""""#),
        ("id", r#""two words""#),
        ("id", r#""..""#),
        ("id", r#""line\nfeed""#),
        ("partner", "[]"),
        ("series", r#""é""#),
        ("tags", r#""night""#),
        ("tags", r#"["good", 1, "two words"]"#),
        ("tags", &many_tags),
        ("downloadable", "null"),
        ("downloadable", r#""yes""#),
        ("downlodable", "true"),
        ("extra", "1"),
        ("availability", "null"),
        ("availability", "[]"),
        ("availability", r#""*""#),
        ("availability", r#"[{"territories":[]}]"#),
        ("availability", r#"[{"territories":["de","DEU","*x", 4]}]"#),
        ("availability", r#"[{"territories":["*","DE"]}]"#),
        ("availability", r#"[{"territories":["DE"],"except":["AT"]}]"#),
        ("availability", r#"[{"territories":["*"],"except":["at"]}]"#),
        ("availability", r#"[{"territory":["DE"]}]"#),
        ("availability", r#"[{"territories":["*"],"from":"2026-01-01"}]"#),
        ("availability", r#"[{"territories":["*"],"from":"2026-01-01T00:00:00"}]"#),
        ("availability", r#"[{"territories":["*"],"until":1767225600}]"#),
        (
            "availability",
            r#"[{"territories":["*"],"from":"2026-01-02T00:00:00Z","until":"2026-01-02T00:00:00Z"}]"#,
        ),
        (
            "availability",
            r#"[{"territories":["DE","AT"],"until":"2027-01-01T00:00:00Z"},{"territories":["CH"]},{"territories":["AT"],"from":"2026-12-01T00:00:00Z"}]"#,
        ),
        ("availability", r#"[{"territories":["*"]},{"territories":["*"],"except":["DE"]}]"#),
        ("name", "null"),
        ("name", r#""  ""#),
        ("name", r#""bell\u0007""#),
        ("name", &long_text),
        ("year", "26"),
        ("year", "2026.5"),
        ("maturity", r#""""#),
        ("maturity_rating", r#""12""#),
        ("maturity_rating", "65536"),
        ("runtime_seconds", "0"),
        ("runtime_seconds", "-3"),
        ("runtime_seconds", "5400000"),
        ("runtime_seconds", r#""90 min""#),
        ("images", r#"{"postr":{"url":"p.webp","width":1,"height":1}}"#),
        ("images", r#"{"poster":{"url":"p.webp","width":0}}"#),
        ("manifests", "null"),
        ("manifests", "{}"),
        ("manifests", r#"{"dash":""}"#),
        ("manifests", r#"{"dash":"my film.mpd"}"#),
        ("manifests", r#"{"dash":"ftp://cdn.example/a.mpd"}"#),
        ("manifests", r#"{"dash":"//cdn.example/a.mpd"}"#),
        ("manifests", r#"{"dash":"https://"}"#),
        ("manifests", r#"{"dash":"a\\b.mpd"}"#),
        ("manifests", &long_url),
        ("key_ids", "null"),
        ("key_ids", "{}"),
        ("key_ids", r#"{"video":"001122"}"#),
        ("key_ids", r#"{"video":"0x112233445566778899aabbccddeeff0"}"#),
        ("key_ids", r#"{"video":"+0112233445566778899aabbccddeeff"}"#),
        ("key_ids", r#"{"video":"0011-2233445566778899aabbccddeeff000"}"#),
        ("key_ids", r#"{"video":"----00112233445566778899aabbccddeeff"}"#),
        ("key_ids", r#"{"":"00112233445566778899aabbccddeeff"}"#),
        (
            "key_ids",
            r#"{"video":"00112233445566778899aabbccddeeff","video":"00112233445566778899aabbccddee00"}"#,
        ),
        ("key_ids", &many_keys),
    ];
    let mut said = String::new();
    for (field, value) in rows {
        let errors = read(&line(&[(field, value)])).expect_err(value);
        let shown: String = value.chars().take(60).collect();
        let _ = writeln!(said, "{field} = {shown}");
        for error in errors.errors {
            assert_eq!((error.file.as_str(), error.line), ("titles.jsonl", Some(1)));
            let _ = writeln!(said, "    {}: {}", error.field.unwrap_or_default(), error.message);
        }
    }
    expect![[r#"
        id = null
            id: this field is missing
        id = 7
            id: a text is wanted here, this is a number
        id = ""
            id: ``: an id has at least one character
        id = "two words"
            id: `two words`: an id is printable ASCII without blanks, character 4 is not
        id = ".."
            id: `..`: `.` and `..` are not ids
        id = "line\nfeed"
            id: `line\nfeed`: an id is printable ASCII without blanks, character 5 is not
        partner = []
            partner: a text is wanted here, this is a list
        series = "é"
            series: `é`: an id is printable ASCII without blanks, character 1 is not
        tags = "night"
            tags: a list is wanted here, this is a text
        tags = ["good", 1, "two words"]
            tags[1]: a text is wanted here, this is a number
            tags[2]: `two words`: an id is printable ASCII without blanks, character 4 is not
        tags = ["t","t","t","t","t","t","t","t","t","t","t","t","t","t","t"
            tags: has 65 items, at most 64 are allowed
        downloadable = null
            downloadable: this field is missing
        downloadable = "yes"
            downloadable: `true` or `false` is wanted here, this is a text
        downlodable = true
            downlodable: unknown field `downlodable`; did you mean `downloadable`?
        extra = 1
            extra: unknown field `extra`; known are `id`, `partner`, `series`, `tags`, `downloadable`, `availability`, `name`, `description`, `year`, `maturity`, `maturity_rating`, `runtime_seconds`, `images`, `manifests`, `key_ids`
        availability = null
            availability: this field is missing
        availability = []
            availability: names no territory; write `[{"territories": ["*"]}]` for everywhere
        availability = "*"
            availability: a list is wanted here, this is a text
        availability = [{"territories":[]}]
            availability[0].territories: names no territory; write `["*"]` for everywhere
        availability = [{"territories":["de","DEU","*x", 4]}]
            availability[0].territories[0]: `de` is not a territory; did you mean `DE`?
            availability[0].territories[1]: `DEU` is not a territory; write two capital letters of ISO 3166-1, such as `DE`
            availability[0].territories[2]: `*x` is not a territory; write two capital letters of ISO 3166-1, such as `DE`
            availability[0].territories[3]: a text is wanted here, this is a number
        availability = [{"territories":["*","DE"]}]
            availability[0].territories: `*` already means everywhere else; give it an entry of its own
        availability = [{"territories":["DE"],"except":["AT"]}]
            availability[0]: `except` goes only with `"territories": ["*"]`
        availability = [{"territories":["*"],"except":["at"]}]
            availability[0].except[0]: `at` is not a territory; did you mean `AT`?
        availability = [{"territory":["DE"]}]
            availability[0].territories: this field is missing
            availability[0].territory: unknown field `territory`; did you mean `territories`?
        availability = [{"territories":["*"],"from":"2026-01-01"}]
            availability[0].from: `2026-01-01`: an instant is written like `2026-03-01T12:00:00.000Z` (RFC 3339)
        availability = [{"territories":["*"],"from":"2026-01-01T00:00:00"}]
            availability[0].from: `2026-01-01T00:00:00`: an instant is written like `2026-03-01T12:00:00.000Z` (RFC 3339)
        availability = [{"territories":["*"],"until":1767225600}]
            availability[0].until: a text is wanted here, this is a number
        availability = [{"territories":["*"],"from":"2026-01-02T00:00:00Z","until":
            availability[0]: ends at `2026-01-02T00:00:00.000Z`, not after its beginning `2026-01-02T00:00:00.000Z`
        availability = [{"territories":["DE","AT"],"until":"2027-01-01T00:00:00Z"},
            availability: entries 0 and 2 overlap in `AT`; join them or move a bound
        availability = [{"territories":["*"]},{"territories":["*"],"except":["DE"]}
            availability: entries 0 and 1 overlap in `*`; join them or move a bound
        name = null
            name: this field is missing
        name = "  "
            name: is blank; write something or leave the field out
        name = "bell\u0007"
            name: `bell\u{7}` has control characters; remove them
        name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
            name: has 301 bytes, at most 300 are kept
        year = 26
            year: `26` is not a whole number from 1800 to 9999
        year = 2026.5
            year: `2026.5` is not a whole number from 1800 to 9999
        maturity = ""
            maturity: is blank; write something or leave the field out
        maturity_rating = "12"
            maturity_rating: a number is wanted here, this is a text
        maturity_rating = 65536
            maturity_rating: `65536` is not a whole number from 0 to 65535
        runtime_seconds = 0
            runtime_seconds: `0` is not a whole number from 1 to 2419200
        runtime_seconds = -3
            runtime_seconds: `-3` is not a whole number from 1 to 2419200
        runtime_seconds = 5400000
            runtime_seconds: `5400000` is not a whole number from 1 to 2419200
        runtime_seconds = "90 min"
            runtime_seconds: a number is wanted here, this is a text
        images = {"postr":{"url":"p.webp","width":1,"height":1}}
            images.postr: unknown field `postr`; did you mean `poster`?
        images = {"poster":{"url":"p.webp","width":0}}
            images.poster.width: `0` is not a whole number from 1 to 16384
            images.poster.height: this field is missing
        manifests = null
            manifests: this field is missing
        manifests = {}
            manifests: names no manifest; give `dash`, `hls` or both
        manifests = {"dash":""}
            manifests.dash: is empty; write a URL or leave the field out
        manifests = {"dash":"my film.mpd"}
            manifests.dash: `my film.mpd` has characters that a URL percent-encodes
        manifests = {"dash":"ftp://cdn.example/a.mpd"}
            manifests.dash: has the scheme `ftp`; only `https` and `http` go
        manifests = {"dash":"//cdn.example/a.mpd"}
            manifests.dash: `//cdn.example/a.mpd` leaves out the scheme; write `https:` before it
        manifests = {"dash":"https://"}
            manifests.dash: `https://` is not a URL: empty host
        manifests = {"dash":"a\\b.mpd"}
            manifests.dash: `a\\b.mpd` has characters that a URL percent-encodes
        manifests = {"dash":"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
            manifests.dash: has 2049 bytes, at most 2048 are allowed
        key_ids = null
            key_ids: this field is missing
        key_ids = {}
            key_ids: has 0 key ids, 1 to 32 are allowed
        key_ids = {"video":"001122"}
            key_ids.video: `001122` is not a key id; write 32 hexadecimal digits or a UUID
        key_ids = {"video":"0x112233445566778899aabbccddeeff0"}
            key_ids.video: `0x112233445566778899aabbccddeeff0` is not a key id; write 32 hexadecimal digits or a UUID
        key_ids = {"video":"+0112233445566778899aabbccddeeff"}
            key_ids.video: `+0112233445566778899aabbccddeeff` is not a key id; write 32 hexadecimal digits or a UUID
        key_ids = {"video":"0011-2233445566778899aabbccddeeff000"}
            key_ids.video: `0011-2233445566778899aabbccddeeff000` is not a key id; write 32 hexadecimal digits or a UUID
        key_ids = {"video":"----00112233445566778899aabbccddeeff"}
            key_ids.video: `----00112233445566778899aabbccddeeff` is not a key id; write 32 hexadecimal digits or a UUID
        key_ids = {"":"00112233445566778899aabbccddeeff"}
            key_ids: label `` is empty, longer than 32 bytes or has control characters
        key_ids = {"video":"00112233445566778899aabbccddeeff","video":"0011223
            key_ids.video: this field is given twice; keep one
        key_ids = {"k0":"00000000000000000000000000000000","k1":"0000000000000
            key_ids: has 33 key ids, 1 to 32 are allowed
    "#]].assert_eq(&said);
}

#[test]
fn a_line_that_was_cut_off_is_named_with_the_column_where_it_ends() {
    let said = |text: &str| read(text).unwrap_err().to_string();
    let expected = "titles.jsonl, line 1: not a JSON object on one line: \
                    EOF while parsing an object at column 9";
    for end in ["", "\n", "\r\n", " \n"] {
        assert_eq!(said(&format!("{{\"id\":\"x\"{end}")), expected, "{end:?}");
    }
    assert_eq!(
        said("{\"id\":\"x\n"),
        "titles.jsonl, line 1: not a JSON object on one line: \
         EOF while parsing a string at column 8"
    );
}

#[test]
fn bad_lines_are_named_by_number_and_all_at_once() {
    let good = line(&[]);
    let text = format!(
        "{good}\n\n{{\"id\": }}\nnot json\n[1]\n{good}\n{}\r\n{{\"id\":\"b\",\"id\":\"c\"}}\n{} trailing\n",
        line(&[("id", "\"fine\"")]),
        line(&[("id", "\"d\"")]),
    );
    expect![[r#"
        titles.jsonl, line 3: not a JSON object on one line: expected value at column 8
        titles.jsonl, line 4: not a JSON object on one line: expected ident at column 2
        titles.jsonl, line 5: an object is wanted here, this is a list
        titles.jsonl, line 6, field `id`: title `a-title` is already in line 1; remove one or rename it
        titles.jsonl, line 8, field `partner`: this field is missing
        titles.jsonl, line 8, field `downloadable`: this field is missing
        titles.jsonl, line 8, field `availability`: this field is missing
        titles.jsonl, line 8, field `name`: this field is missing
        titles.jsonl, line 8, field `runtime_seconds`: this field is missing
        titles.jsonl, line 8, field `manifests`: this field is missing
        titles.jsonl, line 8, field `key_ids`: this field is missing
        titles.jsonl, line 8, field `id`: this field is given twice; keep one
        titles.jsonl, line 9: not a JSON object on one line: trailing characters at column 228"#]].assert_eq(&read(&text).unwrap_err().to_string());
}

#[test]
fn a_field_given_twice_is_refused() {
    let text = line(&[]).replacen('{', "{\"downloadable\":false,", 1);
    let errors = read(&text).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert_eq!(
        errors.to_string(),
        "titles.jsonl, line 1, field `downloadable`: this field is given twice; keep one"
    );
}

#[test]
fn a_title_id_given_twice_is_refused_and_the_first_line_named() {
    let text =
        format!("{}\n{}\n{}\n", line(&[("id", "\"x\"")]), line(&[]), line(&[("id", "\"x\"")]));
    assert_eq!(
        read(&text).unwrap_err().to_string(),
        "titles.jsonl, line 3, field `id`: title `x` is already in line 1; remove one or rename it"
    );
}

#[test]
fn problems_are_told_up_to_a_bound_and_counted_beyond_it() {
    let errors = read(&"{}\n".repeat(20)).unwrap_err();
    assert_eq!(errors.errors.len(), ERRORS_MAX);
    // Each line lacks its eight required fields.
    let required = 8;
    assert_eq!(errors.untold, 20 * required - ERRORS_MAX);
    assert!(errors.to_string().ends_with("\nand 110 more"), "{errors}");
}

#[test]
fn a_line_is_bounded_and_the_next_one_is_still_read() {
    let padding = |bytes: usize| " ".repeat(bytes - line(&[]).len());
    let longest = format!("{}{}", line(&[]), padding(LINE_BYTES_MAX));
    assert_eq!(longest.len(), LINE_BYTES_MAX);
    for end in ["", "\n", "\r\n"] {
        let text = format!("{}{end}", longest.get(..LINE_BYTES_MAX - end.len() / 2).unwrap());
        assert_eq!(read(&text).unwrap().len(), 1, "{end:?}");
    }
    let text = format!("{longest} \n{}\nbad\n", line(&[("id", "\"next\"")]));
    let errors = read(&text).unwrap_err();
    let lines: Vec<_> = errors.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [Some(1), Some(3)], "{errors}");
    assert!(errors.to_string().contains("is longer than 65536 bytes; write one title per line"));
}

#[test]
fn a_file_without_titles_is_refused() {
    for text in ["", "\n", " \n\t\n"] {
        assert_eq!(
            read(text).unwrap_err().to_string(),
            "titles.jsonl: there is no title in it; write one JSON object per line"
        );
    }
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let mut bytes = line(&[]).into_bytes();
    let at = bytes.windows(7).position(|bytes| bytes == b"A Title").unwrap();
    bytes[at] = 0xff;
    let error = Catalogue::read("titles.jsonl", bytes.as_slice()).unwrap_err().to_string();
    assert!(error.starts_with("titles.jsonl, line 1: not a JSON object on one line: "), "{error}");
    let marked = format!("\u{feff}{}", line(&[]));
    assert_eq!(
        read(&marked).unwrap_err().to_string(),
        "titles.jsonl, line 1: begins with a byte order mark; save the file as UTF-8 without one"
    );
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let text = line(&[("tags", &format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)))]);
    let error = read(&text).unwrap_err().to_string();
    assert!(error.contains("recursion limit exceeded"), "{error}");
}

#[test]
fn a_catalogue_is_loaded_from_a_file_and_kept_when_the_next_one_is_bad() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}\n{}", line(&[("id", "\"b\"")]), line(&[("id", "\"a\"")])).unwrap();
    let kept = Catalogue::load(file.path()).unwrap();

    writeln!(file, "\n{{").unwrap();
    let errors = Catalogue::load(file.path()).unwrap_err();
    assert_eq!(errors.errors[0].line, Some(3));
    assert!(errors.to_string().starts_with(&file.path().display().to_string()));

    let order: Vec<_> = kept.titles().map(|title| title.id.as_str()).collect();
    assert_eq!(order, ["b", "a"], "titles come in the order of the file");
    assert_eq!(kept.title(&TitleId::new("a").unwrap()).unwrap().id.as_str(), "a");
    assert_eq!(kept.title(&TitleId::new("c").unwrap()), None);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing.jsonl"), folder.path().to_owned()] {
        let errors = Catalogue::load(&path).unwrap_err();
        let message = errors.to_string();
        assert!(message.starts_with(&format!("{}: cannot be read: ", path.display())), "{message}");
        assert!(message.ends_with("; check the path and its permissions"), "{message}");
    }
}

#[test]
fn the_entry_that_names_a_territory_stands_for_itself() {
    let title = read_title(&[(
        "availability",
        r#"[{"territories":["*"],"except":["JP"]},{"territories":["DE"],"from":"2027-01-01T00:00:00Z"},{"territories":["DE","AT"],"until":"2026-06-01T00:00:00Z"}]"#,
    )]);
    let until_june = window(None, Some("2026-06-01T00:00:00Z"));
    let from_2027 = window(Some("2027-01-01T00:00:00Z"), None);
    for (name, windows) in [
        ("FR", vec![Window::default()]),
        ("AT", vec![until_june]),
        ("DE", vec![until_june, from_2027]),
        ("JP", vec![]),
    ] {
        assert_eq!(title.windows(Some(&territory(name))), windows, "{name}");
    }
    assert!(title.differs_by_territory());
    assert_eq!(title.windows(None), []);
}

#[test]
fn without_a_territory_only_what_is_alike_everywhere_counts() {
    let everywhere = read_title(&[(
        "availability",
        r#"[{"territories":["*"],"until":"2030-01-01T00:00:00Z"}]"#,
    )]);
    assert!(!everywhere.differs_by_territory());
    assert_eq!(everywhere.windows(None), [window(None, Some("2030-01-01T00:00:00Z"))]);
    for differing in [r#"[{"territories":["*"],"except":["JP"]}]"#, r#"[{"territories":["DE"]}]"#] {
        let title = read_title(&[("availability", differing)]);
        assert!(title.differs_by_territory(), "{differing}");
        assert_eq!(title.windows(None), [], "{differing}");
    }
}

#[test]
fn windows_are_half_open() {
    let bounded = window(Some("2026-01-01T00:00:00Z"), Some("2026-02-01T00:00:00Z"));
    for (at, inside) in [
        ("2025-12-31T23:59:59.999Z", false),
        ("2026-01-01T00:00:00Z", true),
        ("2026-01-31T23:59:59.999Z", true),
        ("2026-02-01T00:00:00Z", false),
    ] {
        assert_eq!(bounded.contains(at.parse().unwrap()), inside, "{at}");
    }
    assert!(
        Window::default().contains(Timestamp::MIN) && Window::default().contains(Timestamp::MAX)
    );
}

#[test]
fn windows_that_only_touch_may_follow_each_other() {
    let title = read_title(&[(
        "availability",
        r#"[{"territories":["DE"],"from":"2026-03-01T00:00:00Z"},{"territories":["DE"],"until":"2026-03-01T00:00:00Z"}]"#,
    )]);
    assert_eq!(title.windows(Some(&territory("DE"))).len(), 2);
}

#[test]
fn a_key_id_is_printed_as_manifests_write_it() {
    let title = read_title(&[("key_ids", r#"{"video":"00112233-4455-6677-8899-AABBCCDDEE0F"}"#)]);
    assert_eq!(title.key_ids[0].1.to_string(), "00112233445566778899aabbccddee0f");
    assert_eq!(title.key_ids[0].1.0[15], 0x0f);
}

/// The catalogue that the demo ships, and the media that it names.
#[test]
fn the_demo_catalogue_is_good_and_its_media_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let catalogue = Catalogue::load(&root.join("demo/catalogue.jsonl")).unwrap();
    let mut urls = Vec::new();
    for title in catalogue.titles() {
        let images = [&title.images.poster, &title.images.backdrop];
        urls.extend(images.iter().map(|image| image.as_ref().unwrap().url.clone()));
        urls.extend([&title.manifests.dash, &title.manifests.hls].map(|url| url.clone().unwrap()));
        let manifest = root.join(title.manifests.dash.as_ref().unwrap().trim_start_matches('/'));
        let manifest = std::fs::read_to_string(manifest).unwrap().replace('-', "");
        for (label, id) in &title.key_ids {
            assert!(manifest.contains(&id.to_string()), "{} {label} {id}", title.id);
        }
    }
    for url in urls {
        let path = root.join(url.strip_prefix('/').unwrap());
        assert!(path.is_file(), "{url} is not in the repository");
    }
}
