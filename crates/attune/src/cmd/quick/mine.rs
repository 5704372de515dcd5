//! What `attune quick` has created.

use crate::{
    cmd::session::Session,
    failure::{Failure, code},
    noun::table::RULE,
    view::list::List,
};
use attune_client::Method;

pub async fn list(session: &Session) -> anyhow::Result<()> {
    let query = [("pack_ref", "my"), ("limit", "200")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut pages = session.client.pages("/api/v1/rules", &query);
    let mut printed = List::new(&session.view, RULE.shape(), false);
    while let Some(rows) = pages.next().await? {
        if !rows.is_empty() {
            printed.page(&rows)?;
        }
    }
    printed.end()
}

pub async fn remove(session: &Session, name: &str) -> anyhow::Result<()> {
    let mut removed = false;
    for noun in ["rules", "triggers", "actions"] {
        match session
            .client
            .request(Method::DELETE, &format!("/api/v1/{noun}/my.{name}"))
            .send()
            .await
        {
            Ok(_) => removed = true,
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !removed {
        return Err(Failure::new(
            code::NOT_FOUND,
            format!("no automation {name} exists; `attune quick list` lists all"),
        )
        .into());
    }
    eprintln!("removed {name}");
    // The pack goes with its last definition.
    let _ = session.client.request(Method::DELETE, "/api/v1/packs/my").send().await;
    Ok(())
}
