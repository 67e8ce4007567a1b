"""How our own actions (those in `_audit`) are said. `{target}` and `{attribute}` are filled in; what is in square
brackets is left out where the event has not what it speaks of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """What comes behind the actor. `failed` and `itself` (done to one's own account) where they read otherwise."""

    done: str
    failed: str | None = None
    itself: str | None = None

    def for_outcome(self, outcome: str | None, *, itself: bool) -> str | None:
        """None where there is no phrase for it."""
        if outcome == "failure":
            return self.failed
        if outcome == "unknown":
            return None
        return self.itself if itself and self.itself else self.done


NAMED_BY = {
    "key.created": "name", "key.revoked": "name", "user.created": "username", "user.deleted": "username",
}  # fmt: skip
"""The attribute that has the target's name."""

_NOT_IN = "could not sign in as {target}[: {reason}]"
_OLD_SESSION = "used an old session of {target}, which was ended"

KNOWN: dict[str, Phrase] = {
    "user.login": Phrase("signed in as {target}", failed=_NOT_IN, itself="signed in[ ({how})]"),
    "user.login_failed": Phrase(_NOT_IN, _NOT_IN),
    "user.logout": Phrase("signed {target} out", itself="signed out"),
    "user.registered": Phrase("registered {target}", "could not register[: {reason}]", itself="registered"),
    "user.verified": Phrase("confirmed the e-mail address of {target}", itself="confirmed their e-mail address"),
    "user.created": Phrase("made user {target}", itself="came in for the first time"),
    "user.updated": Phrase("changed user {target}", itself="changed their account"),
    "user.deleted": Phrase("deleted user {target}", itself="deleted their account"),
    "user.set_up_link_made": Phrase("made a set-up link for user {target}"),
    "user.password_changed": Phrase("changed the password of {target}", itself="changed their password"),
    "user.password_reset_requested": Phrase(
        "asked for a link to reset the password of {target}", "was refused a link to reset the password of {target}"
    ),
    "session.reuse_detected": Phrase(_OLD_SESSION, _OLD_SESSION),
    "key.created": Phrase("made API key {target}"),
    "key.revoked": Phrase("revoked API key {target}"),
    "signing_key.rotated": Phrase("made a new signing key, {target}"),
    "bucket.created": Phrase("made bucket {target}"),
    "bucket.updated": Phrase("changed bucket {target}"),
    "bucket.deleted": Phrase("deleted bucket {target} with its events"),
    "grant.changed": Phrase("set what user {user} may do on bucket {target}[: {permissions}]"),
    "grant.deleted": Phrase("took away all access of user {user} to bucket {target}"),
    "viewer_token.created": Phrase("made a viewer token for bucket {target}"),
    "dead_letters.replayed": Phrase("replayed dead letters[: {replayed}]"),
    "backup.made": Phrase("made a backup"),
    "backup.restored": Phrase("restored a backup"),
}  # fmt: skip
