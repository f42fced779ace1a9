//! Pages of the guide that show SQL, run block by block.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::lake::TestLake;

/// The blocks of a page that are SQL.
fn blocks(page: &str) -> Vec<String> {
    page.split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_the_page_on_writing_shows_works() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/sql-writes.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lake = TestLake::folder().await;
    let files = TempDir::new().unwrap();
    std::fs::write(files.path().join("more.txt"), "2;pear\n3;NA\n").unwrap();
    let here = format!("'{}/", files.path().to_str().unwrap());
    let blocks = blocks(&page);
    assert_eq!(blocks.len(), 6);
    for block in blocks {
        lake.run(&block.replace("'./", &here)).await;
    }
    assert_eq!(
        lake.rows("SELECT id, sku, amount, organic FROM sales ORDER BY id, sku")
            .await,
        [
            "1|apple|0.00|NULL",
            "1|apple|0.00|NULL",
            "2|pear|NULL|NULL",
            "2|pear|NULL|NULL",
            "3|NULL|NULL|NULL",
            "3|NULL|NULL|NULL",
            "8|plum|NULL|true",
            "9|fig|3.00|NULL"
        ]
    );
}
