#![allow(clippy::unwrap_used)]
use super::functions::{Standard, standard};
use super::*;
use chrono::{TimeZone, Utc};

fn functions() -> Functions {
    standard(&Standard {
        started: Utc.with_ymd_and_hms(2024, 3, 5, 7, 8, 9).unwrap(),
        cwd: "/here".into(),
        build_name: Some("ubuntu".into()),
        build_type: Some("amazon-ebs".into()),
        packer_version: "1.16.0".into(),
    })
}

fn data() -> Data {
    let tags = Node::Map([("Name".to_owned(), Node::from("base")), ("Zone".to_owned(), Node::from("a"))].into());
    [
        ("Path".to_owned(), Node::from("/tmp/script_1.sh")),
        ("Vars".to_owned(), Node::from("A='1' ")),
        ("Port".to_owned(), Node::Int(22)),
        ("Tags".to_owned(), tags),
        ("List".to_owned(), Node::List(vec!["x".into(), "y".into(), "z".into()])),
        ("Loop".to_owned(), Node::from("{{ .Loop }}x")),
        ("Path2".to_owned(), Node::from("{{ .Path }}")),
    ]
    .into()
}

fn ok(text: &str) -> String {
    render(text, &data(), &functions()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn err(text: &str) -> String {
    render(text, &data(), &functions()).expect_err(text)
}

#[test]
fn what_templates_really_use() {
    assert_eq!(
        ok("chmod +x {{.Path}}; {{ .Vars }} sudo -E {{ .Path }}"),
        "chmod +x /tmp/script_1.sh; A='1'  sudo -E /tmp/script_1.sh"
    );
    assert_eq!(ok("img-{{timestamp}}"), "img-1709622489");
    assert_eq!(
        ok("{{isotime}} {{ isotime \"2006-01-02 030405 Jan Mon PM\" }}"),
        "2024-03-05T07:08:09Z 2024-03-05 070809 Mar Tue AM"
    );
    assert_eq!(
        ok("{{ isotime `Mon Jan _2 15:04:05 MST 2006 Z07:00 002 1/2/06 3:4:5.000` }}"),
        "Tue Mar  5 07:08:09 UTC 2024 Z 065 3/5/24 7:8:9.000"
    );
    assert_eq!(ok("{{ strftime \"%Y-%m-%d %H:%M\" }}"), "2024-03-05 07:08");
    assert_eq!(ok("{{ build_name }}/{{build_type}}/{{packer_version}}/{{pwd}}"), "ubuntu/amazon-ebs/1.16.0//here");
    assert_eq!(ok("{{ split \"a-b-c\" \"-\" 1 }}{{ upper \"x\" }}{{ \"Y\" | lower }}"), "bXy");
    assert_eq!(ok("{{ replace \"a\" \"b\" 1 \"aa\" }} {{ replace_all \"a\" \"b\" \"aa\" }}"), "ba bb");
    assert_eq!(
        ok("{{ .SourceAMI }}|{{ .A.B.C }}|{{ .Tags.Name }}|{{ .Tags.None }}"),
        "<no value>|<no value>|base|<no value>"
    );
    assert_eq!(ok("{{ build \"Path\" }}"), "/tmp/script_1.sh");
    assert_eq!(ok("{{ `{{ .literal }}` }} {{\"{{\"}} x {{\"}}\"}}"), "{{ .literal }} {{ x }}");
    let id = ok("{{ uuid }}");
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_ne!(id, ok("{{ uuid }}"));
}

#[test]
fn control_structures() {
    assert_eq!(ok("{{ range .List }}[{{ . }}]{{ end }}"), "[x][y][z]");
    assert_eq!(ok("{{ range $i, $e := .List }}{{ if $i }},{{ end }}{{ $i }}={{ $e }}{{ end }}"), "0=x,1=y,2=z");
    assert_eq!(ok("{{ range $k, $v := .Tags }}{{ $k }}:{{ $v }};{{ end }}"), "Name:base;Zone:a;");
    assert_eq!(ok("{{ range .None }}x{{ else }}none{{ end }}"), "none");
    assert_eq!(ok("{{ range .List }}{{ if eq . \"y\" }}{{ continue }}{{ end }}{{ . }}{{ end }}"), "xz");
    assert_eq!(ok("{{ range .List }}{{ if eq . \"y\" }}{{ break }}{{ end }}{{ . }}{{ end }}"), "x");
    assert_eq!(ok("{{ if .None }}a{{ else if eq .Port 22 }}b{{ else }}c{{ end }}"), "b");
    assert_eq!(ok("{{ with .Tags }}{{ .Name }}{{ $.Port }}{{ end }}"), "base22");
    assert_eq!(ok("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}"), "2");
    assert_eq!(ok("a  {{- 1 -}}  b {{- /* no */ -}} c{{/* x */}} d"), "a1bc d");
    assert_eq!(ok("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .Port }}"), "<22>");
    assert_eq!(ok("{{ range 3 }}{{ . }}{{ end }}"), "012");
    assert_eq!(ok("{{ (index .Tags \"Name\") | printf \"%-6s|\" }}"), "base  |");
}

#[test]
fn go_functions() {
    assert_eq!(
        ok("{{ printf \"%s %d %q %05d %x %v %.2f %t %%\" \"a\" 3 \"b\\n\" -42 255 .List 1.5 true }}"),
        "a 3 \"b\\n\" -0042 ff [x y z] 1.50 true %"
    );
    assert_eq!(
        ok("{{ printf \"%d\" \"x\" }} {{ printf \"%d\" }} {{ printf \"a\" 1 }}"),
        "%!d(string=x) %!d(MISSING) a%!(EXTRA int=1)"
    );
    assert_eq!(ok("{{ print 1 2 \"a\" 3 }} {{ println 1 2 }}"), "1 2a3 1 2\n");
    assert_eq!(
        ok("{{ len .List }} {{ index .List 1 }} {{ slice \"abcdef\" 1 3 }} {{ index .Tags \"no\" }}|"),
        "3 y bc |"
    );
    assert_eq!(
        ok("{{ and 1 0 }} {{ or 0 \"x\" }} {{ not 1 }} {{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1 2 }} {{ ge \"b\" \"a\" }}"),
        "0 x false true true true true"
    );
    assert_eq!(
        ok("{{ .Tags }} {{ 1.5 }} {{ 1e30 }} {{ 0x10 }} {{ 'a' }} {{ html \"<a>\" }} {{ urlquery \"a b/\" }}"),
        "map[Name:base Zone:a] 1.5 1e+30 16 97 &lt;a&gt; a+b%2F"
    );
}

#[test]
fn errors_name_line_and_reason() {
    assert!(err("a\n{{ nope }}").contains("root:2: function \"nope\" not defined"));
    assert!(err("{{ clean_resource_name \"a\" }}").contains("regex_replace"));
    assert!(err("{{ env \"HOME\" }}").contains("env vars are not allowed here"));
    assert!(err("{{ user `x` }}").contains("var.NAME"));
    assert!(err("{{ build \"ID\" }}").contains("${build.ID}"));
    assert!(err("{{ template_dir }}").contains("path.root"));
    assert!(err("{{ .Port.X }}").contains("can't evaluate field X in type int"));
    assert!(err("{{ split \"a\" \"-\" 4 }}").contains("too large"));
    for bad in [
        "{{",
        "{{ .X",
        "{{ if }}x{{ end }}",
        "{{ if 1 }}",
        "{{ end }}",
        "{{ else }}",
        "{{ $x }}",
        "{{ \"a }}",
        "{{ ( 1 }}",
        "{{ 1 ) }}",
        "{{ | }}",
        "{{ 1 | 2 }}",
        "{{ .a! }}",
        "{{}}",
        "{{ break }}",
        "{{ /* x }}",
        "{{ 'ab' }}",
        "{{ 0xg }}",
        "{{ .A 1 }}",
        "{{ range $a, $b, $c := .List }}{{ end }}",
        "{{ \"\\q\" }}",
        "{{ template \"none\" }}",
        "{{ range \"x\" }}{{ end }}",
    ] {
        assert!(render(bad, &data(), &functions()).is_err(), "{bad}");
    }
    assert!(check("{{ nope 1 }} {{ .X }}").is_ok(), "names of functions are not syntax");
    assert!(check_with("{{ nope 1 }}", &functions()).is_err());
}

#[test]
fn nothing_runs_away() {
    assert!(err(&"{{ if 1 }}".repeat(500)).contains("nested deeper"));
    assert!(err(&format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500))).contains("nested deeper"));
    assert!(err("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}").contains("deeper"));
    assert!(err("{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ end }}").contains("steps"));
    assert!(err("{{ range 1000 }}{{ printf \"%1000000d\" 1 }}{{ end }}").contains("bytes"));
    assert_eq!(render_until_stable("{{ .Path2 }}", &data(), &functions()).unwrap(), "/tmp/script_1.sh");
    assert!(render_until_stable("{{ .Loop }}", &data(), &functions()).is_err());
}

#[test]
fn any_text_is_an_answer_or_an_error() {
    // Cuts and splices of real templates: whatever they are, nothing panics.
    let seeds = [
        "{{ range $i, $e := .List }}{{- printf \"%-5s|%*d\" $e 3 $i -}}{{ end }}",
        "{{ isotime \"2006-01-02T15:04:05.999Z07:00é\" }}{{`raw`}}",
        "{{ with (index .Tags \"Name\") }}{{ . | upper }}{{ else }}'é'{{ end }}",
        "{{/* c */}}{{ slice \"é\" 0 1 }}{{ 'é' }}{{ -0x1f }}{{ 1e5 }}",
    ];
    for seed in seeds {
        let bounds: Vec<usize> = seed.char_indices().map(|(n, _)| n).collect();
        for &a in &bounds {
            for &b in bounds.iter().filter(|b| **b >= a) {
                let _ = render(&seed[a..b], &data(), &functions());
                let _ = render(&format!("{}{}", &seed[..a], &seed[b..]), &data(), &functions());
            }
        }
    }
}
