//! The words of the language: which there are and what they take.

/// Something of a node that is not its value: read as a word, set by `target word = value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Tag,
    Style,
    Anchor,
    Alias,
    HeadComment,
    LineComment,
    FootComment,
    /// All three: can only be set.
    Comments,
}

/// What a word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    All,
    AllCondition,
    Any,
    AnyCondition,
    ArrayToMap,
    Capture,
    Column,
    Contains,
    Del,
    DelPaths,
    DocumentIndex,
    Downcase,
    Encode(Format),
    Decode(Format),
    Env,
    EnvSubst,
    Raise,
    Eval,
    Explode,
    FileIndex,
    FileName,
    Filter,
    First,
    Flatten,
    FromEntries,
    GroupBy,
    Has,
    IsKey,
    Join,
    Key,
    Keys,
    Kind,
    Length,
    Line,
    Load,
    Map,
    MapValues,
    Match,
    Max,
    Min,
    Not,
    NotHere,
    Omit,
    Parent,
    Parents,
    Path,
    Pick,
    Pivot,
    Reverse,
    Root,
    Select,
    SetPath,
    Sort,
    SortBy,
    SortKeys,
    Split,
    SplitDoc,
    StrEnv,
    Sub,
    System,
    Test,
    ToEntries,
    ToNumber,
    ToString,
    Trim,
    Unique,
    UniqueBy,
    Upcase,
    With,
    WithEntries,
}

/// A text format of `to_…`, `from_…` and `@…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    /// `@json`: on one line.
    JsonLine,
    Yaml,
    Props,
    Csv,
    Tsv,
    Base64,
    Uri,
    Sh,
}

/// How many arguments a word takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// One in parentheses, or several behind `;`.
    Argument,
    /// As `Argument`, or none at all.
    Optional,
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Attribute(Attribute),
    Function(Function, Takes),
}

/// Looks a word up, as written.
pub(super) fn look_up(word: &str) -> Option<Word> {
    attribute(word)
        .map(Word::Attribute)
        .or_else(|| function(word).map(|(function, takes)| Word::Function(function, takes)))
}

fn attribute(word: &str) -> Option<Attribute> {
    Some(match word {
        "tag" | "type" => Attribute::Tag,
        "style" => Attribute::Style,
        "anchor" => Attribute::Anchor,
        "alias" => Attribute::Alias,
        "head_comment" | "headcomment" | "headComment" => Attribute::HeadComment,
        "line_comment" | "linecomment" | "lineComment" => Attribute::LineComment,
        "foot_comment" | "footcomment" | "footComment" => Attribute::FootComment,
        "comments" => Attribute::Comments,
        _ => return None,
    })
}

fn function(word: &str) -> Option<(Function, Takes)> {
    plain(word)
        .map(|function| (function, Takes::Nothing))
        .or_else(|| with_argument(word).map(|function| (function, Takes::Argument)))
        .or_else(|| with_optional(word).map(|function| (function, Takes::Optional)))
}

fn plain(word: &str) -> Option<Function> {
    Some(match word {
        "length" => Function::Length,
        "line" => Function::Line,
        "column" => Function::Column,
        "to_number" | "tonumber" => Function::ToNumber,
        "to_string" | "tostring" => Function::ToString,
        "array_to_map" | "arraytomap" | "array_tomap" | "arrayto_map" => Function::ArrayToMap,
        "root" => Function::Root,
        "parents" => Function::Parents,
        "unique" => Function::Unique,
        "not" => Function::Not,
        "sort" => Function::Sort,
        "reverse" => Function::Reverse,
        "any" => Function::Any,
        "all" => Function::All,
        "keys" => Function::Keys,
        "key" => Function::Key,
        "is_key" | "iskey" => Function::IsKey,
        "filename" | "file_name" | "fileName" => Function::FileName,
        "file_index" | "fileindex" | "fileIndex" | "fi" => Function::FileIndex,
        "path" => Function::Path,
        "to_entries" | "toentries" | "toEntries" => Function::ToEntries,
        "from_entries" | "fromentries" | "fromEntries" => Function::FromEntries,
        "kind" => Function::Kind,
        "document_index" | "documentindex" | "documentIndex" | "di" => Function::DocumentIndex,
        "split_doc" | "splitdoc" | "splitDoc" => Function::SplitDoc,
        "upcase" | "ascii_upcase" | "asciiupcase" => Function::Upcase,
        "downcase" | "ascii_downcase" | "asciidowncase" => Function::Downcase,
        "trim" => Function::Trim,
        "min" => Function::Min,
        "max" => Function::Max,
        "pivot" => Function::Pivot,
        "shuffle" | "now" | "from_unix" | "fromunix" | "to_unix" | "tounix" | "from_xml" | "fromxml"
        | "@xml" | "@xmld" => Function::NotHere,
        "@json" => Function::Encode(Format::JsonLine),
        "@yaml" => Function::Encode(Format::Yaml),
        "@props" => Function::Encode(Format::Props),
        "@csv" | "to_csv" | "tocsv" => Function::Encode(Format::Csv),
        "@tsv" | "to_tsv" | "totsv" => Function::Encode(Format::Tsv),
        "@base64" => Function::Encode(Format::Base64),
        "@uri" => Function::Encode(Format::Uri),
        "@sh" => Function::Encode(Format::Sh),
        "to_props" | "toprops" => Function::Encode(Format::Props),
        "from_yaml" | "fromyaml" | "@yamld" => Function::Decode(Format::Yaml),
        "from_json" | "fromjson" | "@jsond" => Function::Decode(Format::Json),
        "from_props" | "fromprops" | "@propsd" => Function::Decode(Format::Props),
        "from_csv" | "fromcsv" | "@csvd" => Function::Decode(Format::Csv),
        "from_tsv" | "fromtsv" | "@tsvd" => Function::Decode(Format::Tsv),
        "@base64d" => Function::Decode(Format::Base64),
        "@urid" => Function::Decode(Format::Uri),
        _ => return None,
    })
}

fn with_argument(word: &str) -> Option<Function> {
    Some(match word {
        "eval" => Function::Eval,
        "map_values" | "mapvalues" => Function::MapValues,
        "map" => Function::Map,
        "filter" => Function::Filter,
        "pick" => Function::Pick,
        "omit" => Function::Omit,
        "error" => Function::Raise,
        "sort_keys" | "sortkeys" | "sortKeys" => Function::SortKeys,
        "select" => Function::Select,
        "has" => Function::Has,
        "unique_by" | "uniqueby" => Function::UniqueBy,
        "group_by" | "groupby" => Function::GroupBy,
        "explode" => Function::Explode,
        "join" => Function::Join,
        "sub" => Function::Sub,
        "match" => Function::Match,
        "capture" => Function::Capture,
        "test" => Function::Test,
        "sort_by" | "sortby" => Function::SortBy,
        "any_c" => Function::AnyCondition,
        "all_c" => Function::AllCondition,
        "contains" => Function::Contains,
        "split" => Function::Split,
        "set_path" | "setpath" => Function::SetPath,
        "del_paths" | "delpaths" => Function::DelPaths,
        "with_entries" | "withentries" | "withEntries" => Function::WithEntries,
        "with" => Function::With,
        "del" => Function::Del,
        "env" => Function::Env,
        "strenv" => Function::StrEnv,
        "load" | "load_str" | "loadstr" | "str_load" | "strload" | "load_xml" | "loadxml" | "load_base64"
        | "loadbase64" | "load_props" | "loadprops" => Function::Load,
        "system" => Function::System,
        "format_datetime" | "tz" | "with_dtf" => Function::NotHere,
        _ => return None,
    })
}

fn with_optional(word: &str) -> Option<Function> {
    Some(match word {
        "flatten" => Function::Flatten,
        "first" => Function::First,
        "parent" => Function::Parent,
        "envsubst" => Function::EnvSubst,
        "to_json" | "tojson" => Function::Encode(Format::Json),
        "to_yaml" | "toyaml" => Function::Encode(Format::Yaml),
        "to_xml" | "toxml" => Function::NotHere,
        _ => return None,
    })
}
