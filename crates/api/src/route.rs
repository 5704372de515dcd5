//! One row of the table of routes: path, right, handler, and what the documentation states about it.

use crate::{
    api::Api,
    auth::Right,
    load_shedding::Priority,
    request::Form,
    schema::{Needs, Schema},
};
use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};
use utoipa::ToSchema;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a route")]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub right: Right,
    pub handler: MethodRouter<Api>,
    pub summary: &'static str,
    pub description: &'static str,
    pub body: Option<Schema>,
    /// Which required fields of the body this route requires.
    pub needs: Needs,
    /// The body is a list of such objects, or one of them per line.
    pub batch: bool,
    /// The handler reads a body, even if it takes no fields.
    pub reads_body: bool,
    pub query: Option<Schema>,
    pub answer: Answer,
    pub idempotent: bool,
    /// The answer has an `ETag`, the version of a definition.
    pub versioned: bool,
    /// The route accepts `If-Match`.
    pub conditional: bool,
    /// The route answers 409 when the state of an object does not allow the request.
    pub conflicts: bool,
    /// The answer may contain a new secret.
    pub secret: bool,
    /// The route reads history, which is refused first under load.
    pub low_priority: bool,
    /// The body may be an archive, and then this is the answer.
    pub archive: Option<Schema>,
    /// With `Accept: text/plain`, the answer is a file.
    pub downloads: bool,
}

/// The shape of a successful answer.
#[derive(Debug)]
pub enum Answer {
    One(Schema),
    List(Schema),
    Created(Schema),
    /// 202, or 200 when nothing is left to do.
    Accepted(Schema),
    Nothing,
    Text(&'static str),
}

pub fn get<T: 'static>(path: &'static str, right: Right, handler: impl Handler<T, Api>) -> Route {
    Route::new(Method::GET, path, right, on(MethodFilter::GET, handler))
}

pub fn post<T: 'static>(path: &'static str, right: Right, handler: impl Handler<T, Api>) -> Route {
    Route::new(Method::POST, path, right, on(MethodFilter::POST, handler))
}

pub fn put<T: 'static>(path: &'static str, right: Right, handler: impl Handler<T, Api>) -> Route {
    Route::new(Method::PUT, path, right, on(MethodFilter::PUT, handler))
}

pub fn patch<T: 'static>(path: &'static str, right: Right, handler: impl Handler<T, Api>) -> Route {
    Route::new(Method::PATCH, path, right, on(MethodFilter::PATCH, handler))
}

pub fn delete<T: 'static>(path: &'static str, right: Right, handler: impl Handler<T, Api>) -> Route {
    Route::new(Method::DELETE, path, right, on(MethodFilter::DELETE, handler))
}

impl Route {
    fn new(method: Method, path: &'static str, right: Right, handler: MethodRouter<Api>) -> Self {
        Self {
            method,
            path,
            right,
            handler,
            summary: "",
            description: "",
            body: None,
            needs: Needs::All,
            batch: false,
            reads_body: false,
            query: None,
            answer: Answer::Nothing,
            idempotent: false,
            versioned: false,
            conditional: false,
            conflicts: false,
            secret: false,
            low_priority: false,
            archive: None,
            downloads: false,
        }
    }

    #[must_use]
    pub fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    #[must_use]
    pub fn description(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    #[must_use]
    pub fn body<F: Form>(self) -> Self {
        self.body_with::<F>(Needs::All)
    }

    /// The body is a list, or NDJSON.
    #[must_use]
    pub fn bodies<F: Form>(self) -> Self {
        Self {
            batch: true,
            ..self.body::<F>()
        }
    }

    /// The body may also be an archive of a pack.
    #[must_use]
    pub fn or_archive<T: ToSchema>(self) -> Self {
        Self {
            archive: Some(Schema::of::<T>()),
            ..self
        }
    }

    /// The body of PATCH: no field is required.
    #[must_use]
    pub fn partial_body<F: Form>(self) -> Self {
        self.body_with::<F>(Needs::Nothing)
    }

    /// The body of PUT: the path contains the ref already.
    #[must_use]
    pub fn replacement_body<F: Form>(self) -> Self {
        self.body_with::<F>(Needs::AllButName)
    }

    fn body_with<F: Form>(self, needs: Needs) -> Self {
        Self {
            body: Some(Schema::of_form::<F>()),
            needs,
            reads_body: true,
            ..self
        }
    }

    /// The handler reads the body only to refuse unknown fields.
    #[must_use]
    pub fn empty_body(self) -> Self {
        Self {
            reads_body: true,
            ..self
        }
    }

    #[must_use]
    pub fn query<F: Form>(self) -> Self {
        Self {
            query: Some(Schema::of_form::<F>()),
            ..self
        }
    }

    #[must_use]
    pub fn returns<T: ToSchema>(self) -> Self {
        self.answers(Answer::One(Schema::of::<T>()))
    }

    #[must_use]
    pub fn returns_list<T: ToSchema>(self) -> Self {
        self.answers(Answer::List(Schema::of::<T>()))
    }

    /// With `Accept: text/plain`, the answer is a file.
    #[must_use]
    pub fn or_text(self) -> Self {
        Self {
            downloads: true,
            ..self
        }
    }

    #[must_use]
    pub fn returns_created<T: ToSchema>(self) -> Self {
        self.answers(Answer::Created(Schema::of::<T>()))
    }

    #[must_use]
    pub fn returns_accepted<T: ToSchema>(self) -> Self {
        self.answers(Answer::Accepted(Schema::of::<T>()))
    }

    #[must_use]
    pub fn returns_text(self, content_type: &'static str) -> Self {
        self.answers(Answer::Text(content_type))
    }

    fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// The answer is never compressed: the length of a compressed secret reveals something about it.
    #[must_use]
    pub fn returns_secret(self) -> Self {
        Self { secret: true, ..self }
    }

    #[must_use]
    pub fn versioned(self) -> Self {
        Self {
            versioned: true,
            ..self
        }
    }

    /// Accepts `If-Match`, and may conflict with other definitions.
    #[must_use]
    pub fn conditional(self) -> Self {
        Self {
            conditional: true,
            versioned: !matches!(self.answer, Answer::Nothing),
            conflicts: true,
            ..self
        }
    }

    #[must_use]
    pub fn conflicts(self) -> Self {
        Self {
            conflicts: true,
            ..self
        }
    }

    #[must_use]
    pub fn low_priority(self) -> Self {
        Self {
            low_priority: true,
            ..self
        }
    }

    /// Creates an occurrence and honours `Idempotency-Key`.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self {
            idempotent: true,
            conflicts: true,
            ..self
        }
    }

    /// With `?wait=`, the answer may be 202: the new execution has not ended.
    pub fn waits(&self) -> bool {
        let mut fields = self.query.iter().flat_map(Schema::fields);
        fields.any(|(name, ..)| name == "wait")
    }

    pub fn priority(&self) -> Priority {
        match self.answer {
            Answer::Accepted(_) => Priority::Webhook,
            _ if self.low_priority => Priority::History,
            _ if self.idempotent => Priority::Manual,
            _ => Priority::Essential,
        }
    }
}
