"""A message leaves: checked, dated, delivered once, and its copy kept where the client wants it."""

from mailboxes.sandbox import compose, delivery
from mailboxes.sandbox.compose import people_in
from mailboxes.sandbox.contents import body_of, text_of
from mailboxes.sandbox.model import Content, Folder, Item, Mailbox
from mailboxes.sandbox.operations.caller import Caller
from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.written import MESSAGE_KINDS, complete
from mailboxes.sandbox.xmltext import leaf, moment, one_line, recipients


def send(caller: Caller, owner: Mailbox, content: Content) -> None:
    """Send a content on behalf of `owner`. Raises EwsError; then nothing was sent.

    A sender other than the owner needs the right to open that mailbox, as a full-access right gives it here.
    """
    if content.kind not in MESSAGE_KINDS:
        raise EwsError("ErrorInvalidItemForOperationSendItem", "Only messages can be sent.")
    complete(content, owner, int(caller.store.clock()))
    to = [address for name in ("To", "Cc", "Bcc") for _, address in people_in(content, f"{name}Recipients")]
    if not to or not all("@" in address for address in to):
        raise EwsError("ErrorInvalidRecipients", "At least one recipient is not valid.")
    sender = next((address for _, address in people_in(content, "From")), owner.address)
    if sender.lower() != owner.address.lower():
        if not caller.store.has_mailbox(sender):
            raise EwsError("ErrorSendAsDenied", "The account does not have the right to send as this sender.")
        caller.open(caller.store.mailbox(sender))
    if not caller.may_send():
        raise EwsError("ErrorSubmissionQuotaExceeded", "The mailbox has sent as many messages as it may in a minute.")
    content.values["DateTimeSent"] = moment("DateTimeSent", int(caller.store.clock()))
    delivery.post(caller.store, sender, to, compose.outgoing(content))


def send_draft(caller: Caller, item: Item, copy_to: Folder | None) -> None:
    """Send a draft; it ends, and with `copy_to` its copy (a new item) is kept there. Raises EwsError."""
    if not item.is_draft:
        raise EwsError("ErrorInvalidItemForOperationSendItem", "The item was sent already.")
    send(caller, item.folder.mailbox, item.content)
    item.is_draft = False
    item.is_read = True
    item.received = int(caller.store.clock())
    if copy_to is None:
        caller.store.remove(item)
    else:
        caller.store.move(item, copy_to)


def answer_to(original: Item, kind: str) -> Content:
    """Return the message that answers or forwards an item: ReplyToItem, ReplyAllToItem or ForwardItem."""
    content = original.content
    subject = text_of(content, "Subject")
    prefix = "FW: " if kind == "ForwardItem" else "RE: "
    message_id = text_of(content, "InternetMessageId")
    references = one_line(f"{text_of(content, 'References') or text_of(content, 'InReplyTo')} {message_id}")
    made = Content(
        "Message", values={"Subject": leaf("Subject", subject if subject.startswith(prefix) else prefix + subject)}
    )
    if message_id:
        made.values["References"] = leaf("References", references)
        made.values["InReplyTo"] = leaf("InReplyTo", message_id)
    if kind != "ForwardItem":
        to = people_in(content, "ReplyTo") or people_in(content, "From")
        made.values["ToRecipients"] = recipients("ToRecipients", to)
    if kind == "ReplyAllToItem":
        own = original.folder.mailbox.address.lower()
        others = [
            one for name in ("To", "Cc") for one in people_in(content, f"{name}Recipients") if one[1].lower() != own
        ]
        made.values["CcRecipients"] = recipients("CcRecipients", others)
    made.body = ("Text", "\n\n" + "".join(f"> {line}\n" for line in body_of(content, "Text")[1].splitlines()))
    return made
