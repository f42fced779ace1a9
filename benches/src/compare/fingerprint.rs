//! One row that says something of every column of the order lines.

/// Something of every column, so that a wrong row anywhere shows.
pub(super) fn fingerprint(relation: &str) -> String {
    let numbers = [
        "l_orderkey",
        "l_partkey",
        "l_suppkey",
        "l_linenumber",
        "l_quantity",
        "l_extendedprice",
        "l_discount",
        "l_tax",
    ];
    let texts = [
        "l_returnflag",
        "l_linestatus",
        "l_shipinstruct",
        "l_shipmode",
        "l_comment",
    ];
    let dates = ["l_shipdate", "l_commitdate", "l_receiptdate"];
    let mut columns = vec!["count(*) AS n".to_owned()];
    columns.extend(numbers.map(|name| format!("sum({name}) AS {name}")));
    columns.extend(texts.map(|name| format!("sum(length({name})) AS {name}")));
    columns.extend(dates.map(|name| format!("count(DISTINCT {name}) AS {name}")));
    // Values that ended up in another row leave the sums of single columns as they are.
    columns.push("sum(l_linenumber * l_quantity) AS quantities".to_owned());
    columns.push("sum((l_orderkey % 9973) * length(l_comment)) AS comments".to_owned());
    format!("SELECT {} FROM {relation}", columns.join(", "))
}
