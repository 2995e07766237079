//! `[[health]]`.

use std::collections::BTreeSet;

use coordinator_core::section::{Count, Line, Placed, Problem, Time, Url, quoted};

use coordinator_core::endpoint::{Endpoint, Redirects};

coordinator_core::section! {
    /// A production endpoint: one GET per cycle, the status decides; a dropped connection is tried
    /// once more.
    #[schemars(extend("required" = ["name", "url"]))]
    pub(super) struct Section {
        /// Unique; for people.
        name: Option<Placed<Line>> = None,
        /// What to GET; http or https, without credentials.
        url: Option<Url> = None,
        /// Status codes that say it is up. Default: any 2xx.
        #[schemars(title = "list of status codes")]
        expect: Vec<Count<100, 599>> = Vec::new(),
        /// For the answer's head, redirects included.
        timeout: Time<1> = Time::seconds(10),
        /// Which redirects are followed, up to 8 in a row: `same-host` those to the host of `url`,
        /// whatever scheme, port and leading `www.`; `follow` all; `none` none. One that is not
        /// followed is `unexpected`, unless `expect` lists its status.
        redirects: Redirects = Redirects::SameHost,
    }
}

impl Section {
    fn endpoint(&self) -> Option<Endpoint> {
        let expect = self.expect.iter().map(|code| u16::try_from(code.get()).ok());
        Some(Endpoint {
            name: self.name.as_ref()?.to_string(),
            url: self.url.as_ref()?.to_string(),
            expect: expect.collect::<Option<_>>()?,
            timeout: self.timeout.get(),
            redirects: self.redirects,
        })
    }
}

/// The endpoints that can be read.
pub(super) fn endpoints(sections: &[Section], problems: &mut Vec<Problem>) -> Vec<Endpoint> {
    let mut names = BTreeSet::new();
    for name in sections.iter().filter_map(|section| section.name.as_ref()) {
        let problem = |message: String| Problem::new(message, name.span.clone());
        if name.trim().is_empty() {
            problems.push(problem("an endpoint has an empty `name`".to_owned()).label("name it for people"));
        } else if !names.insert(&name.value) {
            let message = format!("endpoint {} is there twice", quoted(name));
            problems.push(problem(message).label("give each endpoint a name of its own"));
        }
    }
    sections.iter().filter_map(Section::endpoint).collect()
}
