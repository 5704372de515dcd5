//! One row of the table of routes: where, who may, what is done, and what the documentation says of it.

use crate::{api::Api, auth::Right, request::Form, schema::Schema, shed::Worth};
use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};
use utoipa::ToSchema;

#[derive(Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub right: Right,
    pub handler: MethodRouter<Api>,
    pub summary: &'static str,
    pub body: Option<Schema>,
    /// Of the body's fields, only these must be sent: all that are required, all but the name, none.
    pub needs: Needs,
    pub query: Option<Schema>,
    pub answer: Answer,
    pub idempotent: bool,
    /// Its answers may hold a new secret.
    pub secret: bool,
    /// It reads history, which can wait.
    pub looks: bool,
}

/// Which of a body's required fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    All,
    AllButName,
    Nothing,
}

/// What a success looks like.
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
            body: None,
            needs: Needs::All,
            query: None,
            answer: Answer::Nothing,
            idempotent: false,
            secret: false,
            looks: false,
        }
    }

    #[must_use]
    pub fn says(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    #[must_use]
    pub fn takes<F: Form>(self) -> Self {
        Self {
            body: Some(Schema::of_form::<F>()),
            ..self
        }
    }

    #[must_use]
    pub fn changes<F: Form>(self) -> Self {
        Self {
            body: Some(Schema::of_form::<F>()),
            needs: Needs::Nothing,
            ..self
        }
    }

    /// The address says the name.
    #[must_use]
    pub fn replaces<F: Form>(self) -> Self {
        Self {
            body: Some(Schema::of_form::<F>()),
            needs: Needs::AllButName,
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
    pub fn one<T: ToSchema>(self) -> Self {
        Self {
            answer: Answer::One(Schema::of::<T>()),
            ..self
        }
    }

    #[must_use]
    pub fn list<T: ToSchema>(self) -> Self {
        Self {
            answer: Answer::List(Schema::of::<T>()),
            ..self
        }
    }

    #[must_use]
    pub fn creates<T: ToSchema>(self) -> Self {
        Self {
            answer: Answer::Created(Schema::of::<T>()),
            ..self
        }
    }

    #[must_use]
    pub fn accepts<T: ToSchema>(self) -> Self {
        Self {
            answer: Answer::Accepted(Schema::of::<T>()),
            ..self
        }
    }

    #[must_use]
    pub fn text(self, content_type: &'static str) -> Self {
        Self {
            answer: Answer::Text(content_type),
            ..self
        }
    }

    #[must_use]
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// With `?wait=` it may answer 202: what was made has not ended.
    pub fn waits(&self) -> bool {
        let mut fields = self.query.iter().flat_map(Schema::fields);
        fields.any(|(name, ..)| name == "wait")
    }

    #[must_use]
    pub fn looks(self) -> Self {
        Self { looks: true, ..self }
    }

    /// What is refused first when events pile up.
    pub fn worth(&self) -> Worth {
        match self.answer {
            Answer::Accepted(_) => Worth::Outside,
            _ if self.looks => Worth::Looking,
            _ if self.idempotent => Worth::ByHand,
            _ => Worth::Always,
        }
    }

    /// It makes an occurrence, and `Idempotency-Key` is honoured.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self {
            idempotent: true,
            ..self
        }
    }
}
