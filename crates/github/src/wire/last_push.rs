//! Who made the head commit, out of `PullRequest.headRef`.

use serde::Deserialize;

use coordinator_core::pull::{Actor, ActorKind, LastPush, Sha};

/// `Ref`, null where the branch is gone.
#[derive(Debug, Deserialize)]
pub(super) struct HeadRef {
    target: Option<HeadCommit>,
}

#[derive(Debug, Deserialize)]
struct HeadCommit {
    oid: Option<String>,
    author: Option<GitActor>,
    committer: Option<GitActor>,
}

#[derive(Debug, Deserialize)]
struct GitActor {
    email: Option<String>,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
}

/// The committer of what is committed in the browser.
const GITHUB_ITSELF: &str = "noreply@github.com";

/// Author and committer of the head; unknown where the branch shows another commit by now.
pub(super) fn of(branch: Option<HeadRef>, head: &Sha) -> LastPush {
    let commit = branch.and_then(|branch| branch.target);
    let Some(commit) = commit.filter(|commit| commit.oid.as_ref() == Some(&head.0)) else {
        return LastPush::Unknown("GitHub does not show who made the head commit".to_owned());
    };
    let by_github =
        commit.committer.as_ref().is_some_and(|maker| maker.email.as_deref() == Some(GITHUB_ITSELF));
    let committer = (!by_github).then_some(commit.committer);
    let makers = std::iter::once(commit.author).chain(committer);
    match makers.map(account).collect() {
        Ok(makers) => LastPush::By(makers),
        Err(why) => LastPush::Unknown(why),
    }
}

/// The account that GitHub links to the address, or the one that the address itself names: GitHub
/// links no app.
fn account(maker: Option<GitActor>) -> Result<Actor, String> {
    let Some(GitActor { email, user }) = maker else {
        return Err("GitHub does not show who made the head commit".to_owned());
    };
    let email = email.unwrap_or_default();
    let login = user.as_ref().map(|user| user.login.as_str()).or_else(|| login_in(&email));
    let login =
        login.ok_or_else(|| format!("GitHub links `{email}`, which made the head commit, to no account"))?;
    let kind = if login.ends_with("[bot]") { ActorKind::Bot } else { ActorKind::User };
    Ok(Actor::new(kind, login))
}

/// `alice` of `123+alice@users.noreply.github.com`.
fn login_in(email: &str) -> Option<&str> {
    let (name, host) = email.rsplit_once('@')?;
    let login = name.split_once('+').map_or(name, |(_, login)| login);
    (host.starts_with("users.noreply.") && !login.is_empty()).then_some(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(email: &str, login: Option<&str>) -> GitActor {
        let user = login.map(|login| User { login: login.to_owned() });
        GitActor { email: Some(email.to_owned()), user }
    }

    fn made(author: GitActor, committer: GitActor) -> LastPush {
        let commit =
            HeadCommit { oid: Some("h1".to_owned()), author: Some(author), committer: Some(committer) };
        of(Some(HeadRef { target: Some(commit) }), &Sha("h1".to_owned()))
    }

    fn by(makers: &[(ActorKind, &str)]) -> LastPush {
        LastPush::By(makers.iter().map(|(kind, login)| Actor::new(*kind, login)).collect())
    }

    #[test]
    fn author_and_committer_are_the_accounts_that_github_links_to_their_addresses() {
        let (alice, bob) = (maker("a@example.com", Some("alice")), maker("b@example.com", Some("bob")));
        assert_eq!(made(alice, bob), by(&[(ActorKind::User, "alice"), (ActorKind::User, "bob")]));
    }

    #[test]
    fn an_app_and_a_private_address_are_known_by_the_address_alone() {
        let app = maker("1+builder[bot]@users.noreply.github.com", None);
        let private = maker("7+alice@users.noreply.github.com", None);
        assert_eq!(made(app, private), by(&[(ActorKind::Bot, "builder"), (ActorKind::User, "alice")]));
    }

    #[test]
    fn what_is_committed_in_the_browser_is_its_authors() {
        let committed = made(maker("a@example.com", Some("alice")), maker(GITHUB_ITSELF, None));
        assert_eq!(committed, by(&[(ActorKind::User, "alice")]));
    }

    #[test]
    fn an_address_without_an_account_leaves_the_makers_unknown() {
        let LastPush::Unknown(why) = made(maker("x@localhost", None), maker("b@example.com", Some("bob")))
        else {
            panic!("the address has no account");
        };
        assert!(why.contains("`x@localhost`"), "{why}");
    }

    #[test]
    fn the_makers_of_another_commit_than_the_head_are_not_its_makers() {
        let commit = |oid: Option<&str>| HeadCommit {
            oid: oid.map(str::to_owned),
            author: Some(maker("a@example.com", Some("alice"))),
            committer: Some(maker("a@example.com", Some("alice"))),
        };
        for target in [None, Some(commit(None)), Some(commit(Some("h2")))] {
            let made = of(Some(HeadRef { target }), &Sha("h1".to_owned()));
            assert!(matches!(made, LastPush::Unknown(_)), "{made:?}");
        }
        assert!(matches!(of(None, &Sha("h1".to_owned())), LastPush::Unknown(_)));
    }
}
