// Drives every kind of item through its life with ews-javascript-api and prints what it saw as JSON.
//
// Arguments: the service's URL, then address and password of two mailboxes. The module is found through
// NODE_PATH. Each kind is created, read, updated, synchronised, moved and deleted; what the client
// read back is printed, so that the test says what it must be.
"use strict";

const ews = require("ews-javascript-api");

const [url, address, password, otherAddress, otherPassword] = process.argv.slice(2);
const IDS = new ews.PropertySet(ews.BasePropertySet.IdOnly);
const ALL = new ews.PropertySet(ews.BasePropertySet.FirstClassProperties);
const START = "2026-11-23T09:00:00Z";
const END = "2026-11-23T10:00:00Z";
const DELETE = ews.DeleteMode.HardDelete;

function connect(user, secret) {
  const service = new ews.ExchangeService(ews.ExchangeVersion.Exchange2013_SP1, ews.TimeZoneInfo.Utc);
  service.Credentials = new ews.WebCredentials(user, secret);
  service.Url = new ews.Uri(url);
  return service;
}

const service = connect(address, password);
const other = connect(otherAddress, otherPassword);

function folder(name) {
  return new ews.FolderId(name);
}

function known(list) {
  return list === null || list === undefined ? [] : list;
}

async function code(action) {
  try {
    await action();
    return "NoError";
  } catch (error) {
    return error.ErrorCode === undefined ? String(error.message) : ews.ServiceError[error.ErrorCode];
  }
}

async function changes(home, state) {
  const page = await service.SyncFolderItems(folder(home), IDS, null, 100, ews.SyncFolderItemsScope.NormalItems, state);
  const told = [];
  for (let number = 0; number < page.Count; number++) {
    const change = page._getItem(number);
    told.push(ews.ChangeType[change.ChangeType]);
  }
  return { told, state: page.SyncState };
}

// One kind of item: how it is made, what is read of it, how it is changed, where it lives.
async function life(kind) {
  const seen = {};
  const before = await changes(kind.home, "");
  const made = await kind.make();
  seen.id = made.Id.UniqueId.length;
  seen.read = kind.look(await kind.bind(made.Id));
  const created = await changes(kind.home, before.state);
  const again = await kind.bind(made.Id);
  await kind.change(again);
  seen.changed = kind.look(await kind.bind(made.Id));
  const updated = await changes(kind.home, created.state);
  const fresh = await kind.bind(made.Id);
  const moved = await fresh.Move(folder(ews.WellKnownFolderName.DeletedItems));
  seen.newId = moved.Id.UniqueId !== made.Id.UniqueId;
  seen.oldId = await code(() => kind.bind(made.Id));
  const left = await changes(kind.home, updated.state);
  seen.moved = kind.look(await kind.bind(moved.Id));
  await kind.remove(await kind.bind(moved.Id));
  seen.gone = await code(() => kind.bind(moved.Id));
  seen.told = [created.told, updated.told, left.told];
  return seen;
}

const message = {
  home: ews.WellKnownFolderName.Drafts,
  bind: (id) => ews.EmailMessage.Bind(service, id, ALL),
  async make() {
    const made = new ews.EmailMessage(service);
    made.Subject = "From afar";
    made.Body = new ews.MessageBody(ews.BodyType.Text, "Plain words");
    made.ToRecipients.Add("Ben", otherAddress);
    made.Categories.Add("CRM");
    await made.Save(ews.WellKnownFolderName.Drafts);
    return made;
  },
  look: (item) => [item.Subject, item.Body.Text, item.ToRecipients._getItem(0).Address, item.Categories.GetEnumerator()],
  async change(item) {
    item.Subject = "From afar, again";
    await item.Update(ews.ConflictResolutionMode.AutoResolve);
  },
  remove: (item) => item.Delete(DELETE),
};

const appointment = {
  home: ews.WellKnownFolderName.Calendar,
  bind: (id) => ews.Appointment.Bind(service, id, ALL),
  async make() {
    const made = new ews.Appointment(service);
    made.Subject = "Review";
    made.Location = "Room 1";
    made.Start = new ews.DateTime(START);
    made.End = new ews.DateTime(END);
    made.Sensitivity = ews.Sensitivity.Private;
    await made.Save(ews.SendInvitationsMode.SendToNone);
    return made;
  },
  look: (item) => [
    item.Subject,
    item.Location,
    item.Start.ToISOString(),
    ews.Sensitivity[item.Sensitivity],
    ews.AppointmentType[item.AppointmentType],
  ],
  async change(item) {
    item.Location = "Room 2";
    item.Start = new ews.DateTime("2026-11-23T09:30:00Z");
    await item.Update(ews.ConflictResolutionMode.AutoResolve, ews.SendInvitationsOrCancellationsMode.SendToNone);
  },
  remove: (item) => item.Delete(DELETE, ews.SendCancellationsMode.SendToNone),
};

const contact = {
  home: ews.WellKnownFolderName.Contacts,
  bind: (id) => ews.Contact.Bind(service, id, ALL),
  async make() {
    const made = new ews.Contact(service);
    made.GivenName = "Zoe";
    made.Surname = "Quill";
    made.CompanyName = "Quill";
    made.FileAsMapping = ews.FileAsMapping.SurnameCommaGivenName;
    made.EmailAddresses._setItem(ews.EmailAddressKey.EmailAddress1, new ews.EmailAddress("zoe@quill.example"));
    made.EmailAddresses._setItem(ews.EmailAddressKey.EmailAddress2, new ews.EmailAddress("zoe2@quill.example"));
    made.PhoneNumbers._setItem(ews.PhoneNumberKey.MobilePhone, "+34 600");
    await made.Save();
    return made;
  },
  look: (item) => [
    item.DisplayName,
    item.FileAs,
    item.CompanyName,
    item.EmailAddresses._getItem(ews.EmailAddressKey.EmailAddress1).Address,
    item.PhoneNumbers._getItem(ews.PhoneNumberKey.MobilePhone),
  ],
  async change(item) {
    item.CompanyName = "Feather";
    item.PhoneNumbers._setItem(ews.PhoneNumberKey.MobilePhone, "+34 601");
    await item.Update(ews.ConflictResolutionMode.AutoResolve);
  },
  remove: (item) => item.Delete(DELETE),
};

const task = {
  home: ews.WellKnownFolderName.Tasks,
  bind: (id) => ews.Task.Bind(service, id, ALL),
  async make() {
    const made = new ews.Task(service);
    made.Subject = "Call";
    made.StartDate = new ews.DateTime("2026-11-02T00:00:00Z");
    made.DueDate = new ews.DateTime("2026-11-30T00:00:00Z");
    await made.Save(new ews.FolderId(ews.WellKnownFolderName.Tasks));
    return made;
  },
  look: (item) => [item.Subject, ews.TaskStatus[item.Status], item.PercentComplete, item.DueDate.ToISOString()],
  async change(item) {
    item.PercentComplete = 40;
    await item.Update(ews.ConflictResolutionMode.AutoResolve);
  },
  remove: (item) => item.Delete(DELETE, null, ews.AffectedTaskOccurrence.AllOccurrences),
};

const list = {
  home: ews.WellKnownFolderName.Contacts,
  bind: (id) => ews.ContactGroup.Bind(service, id, ALL),
  async make() {
    const made = new ews.ContactGroup(service);
    made.DisplayName = "Buyers";
    made.Members.AddOneOff("Ben", otherAddress);
    made.Members.AddOneOff("Guest", "guest@outside.example");
    await made.Save();
    return made;
  },
  look: (item) => [item.DisplayName, item.Members.Count],
  async change(item) {
    item.DisplayName = "All buyers";
    await item.Update(ews.ConflictResolutionMode.AutoResolve);
  },
  remove: (item) => item.Delete(DELETE),
};

async function view(of) {
  const span = new ews.CalendarView(new ews.DateTime("2026-11-01T00:00:00Z"), new ews.DateTime("2027-02-01T00:00:00Z"), 50);
  const found = await of.FindAppointments(ews.WellKnownFolderName.Calendar, span);
  return found.Items.map((one) => [one.Start.ToISOString(), ews.AppointmentType[one.AppointmentType]]);
}

async function series() {
  const seen = {};
  const made = new ews.Appointment(service);
  made.Subject = "Standup";
  made.Start = new ews.DateTime(START);
  made.End = new ews.DateTime(END);
  made.Recurrence = new ews.Recurrence.WeeklyPattern(made.Start, 1, [ews.DayOfTheWeek.Monday]);
  made.Recurrence.NumberOfOccurrences = 3;
  made.RequiredAttendees.Add(otherAddress);
  await made.Save(ews.SendInvitationsMode.SendToAllAndSaveCopy);
  const second = await ews.Appointment.BindToOccurrence(service, made.Id, 2, ALL);
  second.Subject = "Standup, late";
  second.Start = second.Start.AddHours(2);
  second.End = second.End.AddHours(2);
  await second.Update(ews.ConflictResolutionMode.AutoResolve, ews.SendInvitationsOrCancellationsMode.SendToAllAndSaveCopy);
  const third = await ews.Appointment.BindToOccurrence(service, made.Id, 3, IDS);
  await third.Delete(DELETE, ews.SendCancellationsMode.SendToNone);
  const master = await ews.Appointment.BindToRecurringMaster(service, second.Id, ALL);
  seen.master = [ews.AppointmentType[master.AppointmentType], master.Id.UniqueId === made.Id.UniqueId];
  seen.differs = [known(master.ModifiedOccurrences).Count, known(master.DeletedOccurrences).Count];
  seen.beyond = await code(() => ews.Appointment.BindToOccurrence(service, made.Id, 4, IDS));
  seen.deleted = await code(() => ews.Appointment.BindToOccurrence(service, made.Id, 3, IDS));
  seen.view = await view(service);
  const inbox = await other.FindItems(ews.WellKnownFolderName.Inbox, new ews.ItemView(10));
  seen.requests = inbox.Items.map((one) => one.constructor.name);
  const theirs = await other.FindItems(ews.WellKnownFolderName.Calendar, new ews.ItemView(10));
  const copy = await ews.Appointment.Bind(other, theirs.Items[0].Id, ALL);
  seen.unanswered = ews.MeetingResponseType[copy.MyResponseType];
  await copy.Accept(true);
  const answered = await ews.Appointment.Bind(other, theirs.Items[0].Id, ALL);
  seen.answered = ews.MeetingResponseType[answered.MyResponseType];
  const told = await ews.Appointment.Bind(service, made.Id, ALL);
  seen.attendee = ews.MeetingResponseType[told.RequiredAttendees._getItem(0).ResponseType];
  await told.CancelMeeting("No time");
  const cancelled = await ews.Appointment.Bind(other, theirs.Items[0].Id, ALL);
  seen.cancelled = cancelled.IsCancelled;
  return seen;
}

async function conflict() {
  const made = await contact.make();
  const [first, second] = [await contact.bind(made.Id), await contact.bind(made.Id)];
  first.CompanyName = "One";
  await first.Update(ews.ConflictResolutionMode.NeverOverwrite);
  second.CompanyName = "Two";
  const seen = [await code(() => second.Update(ews.ConflictResolutionMode.NeverOverwrite))];
  const property = new ews.ExtendedPropertyDefinition(ews.DefaultExtendedPropertySet.PublicStrings, "crm_id", ews.MapiPropertyType.String);
  first.SetExtendedProperty(property, "42");
  await first.Update(ews.ConflictResolutionMode.AlwaysOverwrite);
  const again = await ews.Contact.Bind(service, made.Id, new ews.PropertySet(ews.BasePropertySet.IdOnly, [property]));
  seen.push(again.ExtendedProperties._getItem(0).Value);
  await again.Delete(DELETE);
  return seen;
}

async function told() {
  const all = [ews.EventType.NewMail, ews.EventType.Created, ews.EventType.Deleted];
  const subscription = await service.SubscribeToPullNotifications([folder(ews.WellKnownFolderName.Inbox)], 5, null, ...all);
  const note = new ews.EmailMessage(other);
  note.Subject = "Note";
  note.Body = new ews.MessageBody(ews.BodyType.Text, "Now");
  note.ToRecipients.Add(address);
  await note.SendAndSaveCopy();
  const first = await subscription.GetEvents();
  const seen = first.AllEvents.map((one) => ews.EventType[one.EventType]);
  await subscription.Unsubscribe();
  return seen;
}

(async () => {
  const seen = {};
  for (const [name, kind] of Object.entries({ message, appointment, contact, task, list })) {
    seen[name] = await life(kind);
  }
  seen.series = await series();
  seen.conflict = await conflict();
  seen.told = await told();
  process.stdout.write(JSON.stringify(seen, null, 1));
})().catch((error) => {
  process.stderr.write(`${error.ErrorCode ?? ""} ${error.stack ?? error}\n`);
  process.exit(1);
});
