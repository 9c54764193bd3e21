//! `docs/tables.md` against a real schema.

use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/tables.md");

/// A column as a schema or the document has it; none where it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) kind: Option<String>,
    pub(crate) may_be_null: Option<bool>,
}

/// Tables and views by name, and their columns by name.
pub(crate) type Schema = BTreeMap<String, BTreeMap<String, Column>>;

/// What the document says of one kind of database.
pub(crate) fn described(database: &str) -> Schema {
    let types = types(database);
    let mut schema = Schema::new();
    let mut table = None;
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.split('`').nth(1).map(ToOwned::to_owned);
        } else if let (Some(table), true) = (&table, line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let only = cells[4].split_once(" only: ").map(|(whose, _)| whose);
            if only.is_some_and(|whose| !whose.contains(database)) {
                continue;
            }
            let kind = (!cells[2].is_empty()).then(|| types[cells[2]].clone());
            let may_be_null = kind.is_some().then_some(!cells[3].is_empty());
            let columns = schema.entry(table.clone()).or_default();
            for name in cells[1].split('`').skip(1).step_by(2) {
                let column = Column {
                    kind: kind.clone(),
                    may_be_null,
                };
                columns.insert(name.to_owned(), column);
            }
        }
    }
    schema
}

/// The type of each form, by the document's own table of forms.
fn types(database: &str) -> BTreeMap<String, String> {
    let head = DOCUMENT
        .lines()
        .find(|line| line.starts_with("| form |") && line.contains(database))
        .expect("a table of forms");
    let at = head
        .split('|')
        .position(|cell| cell.trim() == database)
        .expect("a column of its own");
    let rows = DOCUMENT.lines().skip_while(|line| *line != head).skip(2);
    let mut types = BTreeMap::new();
    for line in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let kind = cells[at].split('`').nth(1).expect("a type");
        for form in cells[1].split(", ") {
            types.insert(form.to_owned(), kind.to_owned());
        }
    }
    types
}

/// Compares tables, columns, types and NULLs, as far as both sides say something.
pub(crate) fn assert_described(found: &Schema, database: &str) {
    let described = described(database);
    let names = |schema: &Schema| {
        let tables = schema.iter();
        tables
            .flat_map(|(table, columns)| columns.keys().map(move |c| format!("{table}.{c}")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(found),
        names(&described),
        "{database} against the document"
    );
    for (table, columns) in &described {
        for (name, said) in columns {
            let real = &found[table][name];
            let about = format!("{database}: {table}.{name}");
            if let (Some(said), Some(real)) = (&said.kind, &real.kind) {
                assert_eq!(said, real, "{about}");
            }
            if let (Some(said), Some(real)) = (said.may_be_null, real.may_be_null) {
                assert_eq!(said, real, "{about} may be NULL");
            }
        }
    }
}

/// The document's queries that are fenced by this word, at least five.
pub(crate) fn queries(fence: &str) -> Vec<String> {
    let begin = format!("```{fence}\n");
    let blocks = DOCUMENT.split(begin.as_str()).skip(1);
    let queries: Vec<String> = blocks
        .map(|rest| rest.split("```").next().expect("an end").trim().to_owned())
        .collect();
    assert!(queries.len() >= 5, "{fence}: {}", queries.len());
    queries
}
