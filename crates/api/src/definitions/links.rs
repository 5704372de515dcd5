//! What a body refers to: another definition, by reference, by number, or by both, which must then agree.

use attune_common::store::{self, PgConnection, pack};
use attune_domain::{
    FieldErrors, PackId, Ref,
    definition::{Definition, Draft, no_such},
    reference::Key,
};

/// How something else is addressed in a body.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The field's name without `_ref`.
    pub noun: &'a str,
    pub reference: Option<&'a str>,
    pub id: Option<i64>,
}

impl Link<'_> {
    pub fn key(&self, errors: &mut FieldErrors) -> Option<Key> {
        match (self.id, self.reference) {
            (Some(id), _) => Some(Key::Id(id)),
            (None, Some(reference)) => Some(Key::Ref(reference.to_owned())),
            // Reported already of the other field.
            (None, None) if errors.has(self.noun) => None,
            (None, None) => {
                let message = format!("is missing: write the reference of the {}", self.noun);
                errors.add(format!("{}_ref", self.noun), message);
                None
            }
        }
    }

    /// The definition that was found must match both the id and the reference.
    pub fn check(&self, errors: &mut FieldErrors, found: Option<&str>) {
        let field = if self.id.is_some() {
            self.noun.to_owned()
        } else {
            format!("{}_ref", self.noun)
        };
        match (found, self.reference) {
            (None, reference) => {
                let named = self
                    .id
                    .map_or_else(|| reference.unwrap_or_default().to_owned(), |id| id.to_string());
                let hint = if self.noun == "pack" {
                    "; create it with POST /api/v1/packs"
                } else {
                    ""
                };
                errors.add(field, no_such(self.noun, &named) + hint);
            }
            (Some(found), Some(reference)) if self.id.is_some() && found != reference => {
                errors.add(field, format!("is {found}, but {}_ref is {reference}", self.noun));
            }
            _ => {}
        }
    }
}

/// Finds the definition that two fields of a draft address, and leaves its reference in the draft. A missing or malformed
/// reference is reported by the check of the draft.
pub async fn find<T: Definition>(
    found: impl AsyncFnOnce(&Key) -> Result<Option<T>, store::Error>,
    (reference, id): (&mut Option<String>, &mut Option<i64>),
    errors: &mut FieldErrors,
) -> Result<Option<T>, store::Error> {
    let link = Link {
        noun: T::NOUN,
        reference: reference.as_deref(),
        id: *id,
    };
    let key = match (link.id, link.reference) {
        (Some(id), _) => Key::Id(id),
        (None, Some(reference)) if reference.parse::<Ref>().is_ok() => Key::Ref(reference.to_owned()),
        _ => return Ok(None),
    };
    let found = found(&key).await?;
    link.check(errors, found.as_ref().map(Definition::reference));
    if let Some(found) = &found {
        *reference = Some(found.reference().to_owned());
        *id = None;
    }
    Ok(found)
}

/// Finds the pack of a draft, which is what the body names or what its reference begins with, and completes the draft.
pub async fn find_pack(
    connection: &mut PgConnection,
    draft: &mut impl Draft,
    (pack_ref, pack_id): (Option<String>, Option<i64>),
    errors: &mut FieldErrors,
) -> Result<Option<PackId>, store::Error> {
    let own = draft.reference().parse::<Ref>().ok();
    let implied = own.as_ref().map(|own| own.pack().to_owned());
    let reference = pack_ref.or(implied.filter(|_| pack_id.is_none()));
    let link = Link {
        noun: "pack",
        reference: reference.as_deref(),
        id: pack_id,
    };
    if link.reference.is_none() && link.id.is_none() {
        // The malformed reference is reported.
        return Ok(None);
    }
    let Some(key) = link.key(errors) else {
        return Ok(None);
    };
    let found = pack::get(connection, &key).await?;
    link.check(errors, found.as_ref().map(|pack| pack.r#ref.as_str()));
    // If the pack does not exist, the prefix of the reference is not checked.
    draft.complete(found.as_ref().map(|pack| pack.r#ref.as_str()));
    Ok(found.map(|pack| pack.id))
}

/// The errors of the single fields, then all other errors of the changed fields.
pub fn all_errors<D: Draft>(mut read: FieldErrors, draft: &D, before: Option<&D>, found: FieldErrors) -> FieldErrors {
    for error in draft.judged(before, found).into_vec() {
        // A wrong number in `trigger` is reported as such, and not again as a missing `trigger_ref`.
        let by_number = error.path.strip_suffix("_ref").is_some_and(|noun| read.has(noun));
        if !by_number {
            read.add(error.path, error.message);
        }
    }
    D::in_order(read)
}
