//! Values of flags as Go's `pflag` reads them: lists with commas and quotes, addresses, ports, fractions. Errors have its words.

use std::net::IpAddr;

use super::go_text;

/// One occurrence of a list flag: a record of comma-separated values, each of which may stand in double quotes (RFC 4180).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv(pub Vec<String>);

/// One occurrence of a flag that lists addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpList(pub Vec<IpAddr>);

pub fn csv(text: &str) -> Result<Csv, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(body) => quoted(text, body)?,
            None => {
                let (field, after) = cut(rest);
                if let Some(at) = field.find('"') {
                    return Err(place(text, rest, at, "bare \" in non-quoted field"));
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(Csv(fields)),
        }
    }
}

/// The field up to the next comma, and what follows the comma.
fn cut(text: &str) -> (&str, Option<&str>) {
    match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    }
}

/// A field behind its opening quote; `""` in it is one quote.
fn quoted<'a>(whole: &str, body: &'a str) -> Result<(String, Option<&'a str>), String> {
    let mut field = String::new();
    let mut rest = body;
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err(place(whole, "", 0, "extraneous or missing \" in quoted-field"));
        };
        field.push_str(before);
        rest = match after.chars().next() {
            None => return Ok((field, None)),
            Some(',') => return Ok((field, Some(&after[1..]))),
            Some('"') => {
                field.push('"');
                &after[1..]
            }
            Some(_) => return Err(place(whole, after, 0, "extraneous or missing \" in quoted-field")),
        };
    }
}

/// `rest` is the end of `whole`, `at` a byte in it.
fn place(whole: &str, rest: &str, at: usize, problem: &str) -> String {
    format!("parse error on line 1, column {}: {problem}", whole.len() - rest.len() + at + 1)
}

pub fn ip_list(text: &str) -> Result<IpList, String> {
    let bare: String = text.chars().filter(|c| !matches!(c, '"' | '\'' | '`')).collect();
    let read = |word: &str| {
        word.parse().map_err(|_| format!("invalid string being converted to IP address: {word}"))
    };
    bare.split(',').map(str::trim).map(read).collect::<Result<_, _>>().map(IpList)
}

pub fn gib(text: &str) -> Result<f32, String> {
    go_text::parse_float(text)
}

pub fn port(text: &str) -> Result<u16, String> {
    let number = go_text::parse_int(text).map_err(|error| error.replace("ParseInt", "ParseUint"))?;
    u16::try_from(number)
        .map_err(|_| format!("strconv.ParseUint: parsing {}: value out of range", go_text::quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_records() {
        let fields = |text: &str| csv(text).map(|list| list.0);
        assert_eq!(fields("a,b"), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(fields("\"a,\"\"b\",c"), Ok(vec!["a,\"b".into(), "c".into()]));
        assert_eq!(fields(""), Ok(vec![String::new()]));
        assert_eq!(
            fields("a\"b"),
            Err("parse error on line 1, column 2: bare \" in non-quoted field".into())
        );
        assert!(fields("\"a").is_err());
        assert!(fields("\"a\"b").is_err());
    }

    #[test]
    fn addresses_are_of_either_family() {
        let wanted = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(ip_list("192.0.2.1, '2001:db8::1'"), Ok(IpList(wanted)));
        assert_eq!(
            ip_list("ns.example.com"),
            Err("invalid string being converted to IP address: ns.example.com".into())
        );
    }

    #[test]
    fn ports_out_of_range_are_told() {
        assert_eq!(port("70000").unwrap_err(), "strconv.ParseUint: parsing \"70000\": value out of range");
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(fields in prop::collection::vec("[a-z,\" ]{0,6}", 1..4)) {
            let record: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            prop_assert_eq!(csv(&record.join(",")), Ok(Csv(fields)));
        }
    }
}
