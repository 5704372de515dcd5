//! The table of functions, with their parameters.

use super::{convert, list, pattern, select, test, text};
use crate::expression::arguments::{
    Function, Parameter, ParameterKind,
    ParameterKind::{
        Any, Base, Count, Digits, Divisor, Field, Flag, KeyOrValue, List, Number, Object, Part, Pattern,
        PatternAtStart, Rounding, Text, Whole,
    },
    Place,
    Place::{Filter, Method, Test},
    Run,
};

const fn needs(name: &'static str, kind: ParameterKind) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        by_name_only: false,
    }
}

const fn may(name: &'static str, kind: ParameterKind) -> Parameter {
    Parameter {
        required: false,
        ..needs(name, kind)
    }
}

const fn named(name: &'static str, kind: ParameterKind) -> Parameter {
    Parameter {
        by_name_only: true,
        ..may(name, kind)
    }
}

const fn function(
    names: &'static [&'static str],
    places: &'static [Place],
    parameters: &'static [Parameter],
    run: Run,
) -> Function {
    Function {
        names,
        places,
        parameters,
        inner: None,
        takes_missing: false,
        run,
    }
}

const fn of_missing(
    names: &'static [&'static str],
    places: &'static [Place],
    parameters: &'static [Parameter],
    run: Run,
) -> Function {
    Function {
        takes_missing: true,
        ..function(names, places, parameters, run)
    }
}

const fn each(names: &'static [&'static str], parameters: &'static [Parameter], inner: Place, run: Run) -> Function {
    Function {
        inner: Some(inner),
        ..function(names, &[Filter], parameters, run)
    }
}

const BOTH: &[Place] = &[Filter, Method];
const FILTER: &[Place] = &[Filter];
const METHOD: &[Place] = &[Method];
const TEST: &[Place] = &[Test];

const OTHER: &[Parameter] = &[needs("other", Any)];
const BY_FIELD: &[Parameter] = &[may("attribute", Field), may("case_sensitive", Flag)];
const TWO_LISTS: &[Parameter] = &[needs("other", List)];
const SEARCHED: &[Parameter] = &[
    needs("pattern", Pattern),
    may("ignorecase", Flag),
    may("multiline", Flag),
];
const MATCHED: &[Parameter] = &[
    needs("pattern", PatternAtStart),
    may("ignorecase", Flag),
    may("multiline", Flag),
];

pub static FUNCTIONS: &[Function] = &[
    // Functions that accept missing values.
    of_missing(
        &["default", "d"],
        FILTER,
        &[may("default_value", Any), may("boolean", Flag)],
        convert::default,
    ),
    of_missing(&["defined"], TEST, &[], test::defined),
    of_missing(&["undefined"], TEST, &[], test::undefined),
    function(&["mandatory"], FILTER, &[], convert::same),
    // Numbers and conversions.
    function(&["abs"], FILTER, &[], convert::abs),
    function(
        &["int"],
        FILTER,
        &[may("default", Any), may("base", Base)],
        convert::int,
    ),
    function(&["float"], FILTER, &[may("default", Any)], convert::float),
    function(&["bool"], FILTER, &[may("default", Any)], convert::bool),
    function(
        &["round"],
        FILTER,
        &[may("precision", Digits), may("method", Rounding)],
        convert::round,
    ),
    function(&["string"], FILTER, &[], convert::string),
    function(&["tojson", "to_json", "to_json_string"], FILTER, &[], convert::to_json),
    function(&["from_json", "from_json_string"], FILTER, &[], convert::from_json),
    function(&["b64encode"], FILTER, &[], convert::b64encode),
    function(&["b64decode"], FILTER, &[], convert::b64decode),
    function(
        &["ternary", "iif"],
        FILTER,
        &[needs("true_value", Any), may("false_value", Any)],
        convert::ternary,
    ),
    // Texts.
    function(&["upper"], BOTH, &[], text::upper),
    function(&["lower"], BOTH, &[], text::lower),
    function(&["capitalize"], BOTH, &[], text::capitalize),
    function(&["title"], FILTER, &[], text::title),
    function(&["title"], METHOD, &[], text::title_method),
    function(&["trim", "strip"], BOTH, &[may("chars", Text)], text::trim),
    function(&["lstrip"], METHOD, &[may("chars", Text)], text::trim_start),
    function(&["rstrip"], METHOD, &[may("chars", Text)], text::trim_end),
    function(
        &["replace"],
        BOTH,
        &[needs("old", Part), needs("new", Text), may("count", Whole)],
        text::replace,
    ),
    function(
        &["split"],
        BOTH,
        &[may("separator", Part), may("maxsplit", Whole)],
        text::split,
    ),
    function(&["splitlines"], METHOD, &[], text::lines),
    function(
        &["startswith", "startingwith", "starts_with"],
        &[Filter, Test, Method],
        &[needs("prefix", Text)],
        text::starts_with,
    ),
    function(
        &["endswith", "endingwith", "ends_with"],
        &[Filter, Test, Method],
        &[needs("suffix", Text)],
        text::ends_with,
    ),
    function(
        &["truncate"],
        FILTER,
        &[
            may("length", Count),
            may("killwords", Flag),
            may("end", Text),
            may("leeway", Count),
        ],
        text::truncate,
    ),
    function(
        &["join"],
        FILTER,
        &[may("separator", Text), may("attribute", Field)],
        text::join,
    ),
    function(&["join"], METHOD, &[needs("items", List)], text::join_items),
    function(&["regex_search", "search"], &[Filter, Test], SEARCHED, pattern::search),
    function(&["regex"], TEST, SEARCHED, pattern::search),
    function(&["regex_match", "match"], &[Filter, Test], MATCHED, pattern::search),
    function(&["regex_findall"], FILTER, SEARCHED, pattern::find_all),
    function(
        &["regex_replace"],
        FILTER,
        &[
            needs("pattern", Pattern),
            needs("replacement", Text),
            may("ignorecase", Flag),
            may("multiline", Flag),
        ],
        pattern::replace,
    ),
    // Lists and objects.
    function(&["length", "count"], FILTER, &[], list::length),
    function(&["first"], FILTER, &[], list::first),
    function(&["last"], FILTER, &[], list::last),
    function(&["max"], FILTER, BY_FIELD, list::max),
    function(&["min"], FILTER, BY_FIELD, list::min),
    function(
        &["sum"],
        FILTER,
        &[may("attribute", Field), may("start", Number)],
        list::sum,
    ),
    function(
        &["sort"],
        FILTER,
        &[
            may("reverse", Flag),
            may("case_sensitive", Flag),
            may("attribute", Field),
        ],
        list::sort,
    ),
    function(
        &["unique"],
        FILTER,
        &[may("case_sensitive", Flag), may("attribute", Field)],
        list::unique,
    ),
    function(&["reverse"], FILTER, &[], list::reverse),
    function(&["list"], FILTER, &[], list::list),
    function(&["flatten"], FILTER, &[may("levels", Count)], list::flatten),
    function(
        &["groupby"],
        FILTER,
        &[needs("attribute", Field), may("default", Any)],
        select::group_by,
    ),
    function(&["union"], FILTER, TWO_LISTS, list::union),
    function(&["intersect"], FILTER, TWO_LISTS, list::intersect),
    function(&["difference"], FILTER, TWO_LISTS, list::difference),
    function(&["items"], BOTH, &[], list::items),
    function(
        &["dictsort"],
        FILTER,
        &[may("case_sensitive", Flag), may("by", KeyOrValue), may("reverse", Flag)],
        list::sorted_items,
    ),
    function(&["dict2items"], FILTER, &[], list::named_items),
    function(&["keys"], BOTH, &[], list::keys),
    function(&["values"], BOTH, &[], list::values),
    function(&["get"], METHOD, &[needs("key", Text), may("default", Any)], list::get),
    function(&["combine"], FILTER, &[needs("other", Object)], list::combine),
    each(
        &["map"],
        &[named("attribute", Field), named("default", Any)],
        Filter,
        select::map,
    ),
    each(&["select"], &[], Test, select::select),
    each(&["reject"], &[], Test, select::reject),
    each(&["selectattr"], &[needs("attribute", Field)], Test, select::select_by),
    each(&["rejectattr"], &[needs("attribute", Field)], Test, select::reject_by),
    // Comparisons as tests.
    function(&["eq", "equalto", "=="], TEST, OTHER, test::equal),
    function(&["ne", "!="], TEST, OTHER, test::not_equal),
    function(&["lt", "lessthan", "<"], TEST, OTHER, test::less),
    function(&["le", "<="], TEST, OTHER, test::less_or_equal),
    function(&["gt", "greaterthan", ">"], TEST, OTHER, test::greater),
    function(&["ge", ">="], TEST, OTHER, test::greater_or_equal),
    function(&["in"], TEST, OTHER, test::is_in),
    function(&["contains"], TEST, OTHER, test::contains),
    // Types and properties.
    function(&["none", "null"], TEST, &[], test::null),
    function(&["boolean"], TEST, &[], test::boolean),
    function(&["true"], TEST, &[], test::is_true),
    function(&["false"], TEST, &[], test::is_false),
    function(&["truthy"], TEST, &[], test::truthy),
    function(&["falsy"], TEST, &[], test::falsy),
    function(&["number"], TEST, &[], test::number),
    function(&["integer"], TEST, &[], test::integer),
    function(&["float"], TEST, &[], test::float),
    function(&["string"], TEST, &[], test::string),
    function(&["sequence"], TEST, &[], test::sequence),
    function(&["iterable"], TEST, &[], test::iterable),
    function(&["mapping"], TEST, &[], test::mapping),
    function(&["even"], TEST, &[], test::even),
    function(&["odd"], TEST, &[], test::odd),
    function(&["divisibleby"], TEST, &[needs("number", Divisor)], test::divisible_by),
    function(&["lower"], TEST, &[], test::lower),
    function(&["upper"], TEST, &[], test::upper),
];

#[cfg(test)]
mod tests {
    use super::{super::advice::advice, *};
    use std::collections::HashSet;

    /// Each name has one meaning for each syntax, and no advice shadows an existing function.
    #[test]
    fn names_are_clear() {
        let mut seen = HashSet::new();
        for function in FUNCTIONS {
            for name in function.names {
                for place in function.places {
                    assert!(seen.insert((name, place.as_str())), "{name} is there twice");
                }
                assert_eq!(advice(name), None, "{name} has advice and is there");
            }
        }
    }
}
