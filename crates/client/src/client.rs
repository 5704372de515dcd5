//! The client of one API.

use crate::{Changes, Error, Pages, Request, Settings, transport::Transport};
use hyper::Method;

#[derive(Debug, Clone)]
pub struct Client(Transport);

impl Client {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Transport::new(settings).map(Self)
    }

    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// A request of this path, which begins with a slash and may have a query.
    pub fn request(&self, method: Method, path: &str) -> Request<'_> {
        Request::new(&self.0, method, path)
    }

    pub fn get(&self, path: &str) -> Request<'_> {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request<'_> {
        self.request(Method::POST, path)
    }

    /// A list, page by page.
    pub fn pages(&self, path: &str, query: &[(String, String)]) -> Pages<'_> {
        Pages::new(&self.0, path, query)
    }

    /// The live stream. It connects when the first change is requested.
    pub fn changes(&self, query: &[(String, String)]) -> Changes<'_> {
        Changes::new(&self.0, query)
    }
}
