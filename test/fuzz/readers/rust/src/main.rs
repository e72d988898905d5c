// How Rust reads JSON texts (serde_json) and URIs (url). One child for the fuzz driver, see test/fuzz/driver.ts.
use serde_json::Value;
use std::io::{self, BufReader, BufWriter, Read, Write};

const REFUSED: u32 = 0xffff_ffff;

/// The shortest decimal of a double, the even one of two that are equally near, as JavaScript and Python write it.
fn shortest(float: f64) -> String {
    (0..17)
        .map(|digits| format!("{float:.digits$e}"))
        .find(|text| text.parse() == Ok(float))
        .unwrap_or_else(|| format!("{float:e}"))
}

/// The exact shortest decimal of a number, as digits and an exponent.
fn decimal_form(text: &str) -> String {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i64>().unwrap_or(0)),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "#0e0;".to_string();
    }
    let power = exponent - fraction.len() as i64 + (digits.len() - kept.len()) as i64;
    format!("#{sign}{kept}e{power};")
}

fn text_form(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if letter == '\\' || letter == '"' {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push('z'),
        Value::Bool(true) => out.push('t'),
        Value::Bool(false) => out.push('f'),
        Value::String(text) => text_form(text, out),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&decimal_form(&shortest(float))),
            _ => out.push_str(&decimal_form(&number.to_string())),
        },
        Value::Array(items) => {
            out.push('[');
            items.iter().for_each(|item| write(item, out));
            out.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                text_form(name, out);
                write(&members[name], out);
            }
            out.push('}');
        }
    }
}

fn read_json(text: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let mut out = String::new();
    write(&value, &mut out);
    Some(out)
}

fn read_uri(text: &[u8]) -> Option<String> {
    let url = url::Url::parse(std::str::from_utf8(text).ok()?).ok()?;
    let mut authority = String::new();
    if !url.username().is_empty() || url.password().is_some() {
        authority.push_str(url.username());
        if let Some(password) = url.password() {
            authority.push(':');
            authority.push_str(password);
        }
        authority.push('@');
    }
    authority.push_str(url.host_str().unwrap_or(""));
    if let Some(port) = url.port() {
        authority.push_str(&format!(":{port}"));
    }
    let query = url.query().unwrap_or("");
    let fragment = url.fragment().unwrap_or("");
    Some([url.scheme(), &authority, url.path(), query, fragment].join("\n"))
}

fn main() -> io::Result<()> {
    let mut source = BufReader::with_capacity(1 << 16, io::stdin());
    let mut sink = BufWriter::with_capacity(1 << 16, io::stdout());
    let mut head = [0u8; 5];
    while source.read_exact(&mut head).is_ok() {
        let mut text = vec![0u8; u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize];
        source.read_exact(&mut text)?;
        let form = if head[0] & 0x7f == 1 { read_json(&text) } else { read_uri(&text) };
        match form {
            Some(form) => {
                sink.write_all(&(form.len() as u32).to_le_bytes())?;
                sink.write_all(form.as_bytes())?;
            }
            None => sink.write_all(&REFUSED.to_le_bytes())?,
        }
        if head[0] & 0x80 != 0 {
            sink.flush()?;
        }
    }
    Ok(())
}
