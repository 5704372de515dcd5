//! The audit log only grows.

use attune_common::testing::Database;

#[tokio::test]
async fn audit_rows_cannot_be_changed_or_removed() {
    let database = Database::new().await;
    database
        .execute("insert into audit (actor, verb, object) values ('ann', 'create', 'token 1')")
        .await;
    for statement in [
        "truncate audit",
        "truncate audit restart identity cascade",
        "delete from audit",
        "update audit set actor = 'x'",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&database.pool)
            .await;
        let error = refused.expect_err(statement).to_string();
        assert!(error.contains("audit rows are never changed"), "{statement}: {error}");
    }
    assert_eq!(database.count("select count(*) from audit").await, 1);
    database.close().await;
}
