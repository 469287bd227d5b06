"""Applications, portals and the two small tables every process meets in: buckets and leases."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from portals.crypto import EncryptedTextField


class Application(models.Model):
    """A `client_id` and `client_secret` pair (contract §1); its slug stands in every URL Bitrix24 calls."""

    slug = models.SlugField(_("slug"), unique=True, max_length=50)
    name = models.CharField(_("name"), max_length=200)
    client_id = models.CharField(_("client id"), max_length=200)
    client_secret = EncryptedTextField(_("client secret"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    history = HistoricalRecords(excluded_fields=["client_secret"])

    class Meta:
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name or self.slug


class PortalGroup(models.Model):
    """A name under which portals are chosen together."""

    name = models.CharField(_("name"), max_length=100, unique=True)

    class Meta:
        verbose_name = _("portal group")
        verbose_name_plural = _("portal groups")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Portal(models.Model):
    """One application's installation on one Bitrix24 account (contract §1, §3)."""

    class State(models.TextChoices):
        INSTALLED = "installed", _("installed")
        UNINSTALLED = "uninstalled", _("uninstalled")

    class Token(models.TextChoices):
        """What is known of the stored refresh token."""

        NONE = "none", _("no token")
        WORKING = "working", _("working")
        UNVERIFIED = "unverified", _("unverified since a backup was restored")
        LOST = "lost", _("lost: open the application on the portal")

    class Trouble(models.TextChoices):
        """Why the whole portal takes nothing now; rows wait. '' is none."""

        PLAN_LAPSED = "plan_lapsed", _("the plan lapsed: REST is available only on commercial plans")
        NO_ROBOTS = "no_robots", _("no robots in this portal's plan")
        UNPAID = "unpaid", _("the application is not paid for")
        LICENCE = "licence", _("the process limit of the portal's licence is reached")
        PORTAL_GONE = "portal_gone", _("the portal was deleted")
        APPLICATION_GONE = "application_gone", _("the application is no longer installed there")
        TOKEN_LOST = "token_lost", _("the portal's authorisation was lost: open the application there")
        USER_DISMISSED = "user_dismissed", _("the person whose token we hold was dismissed")
        NO_RIGHTS = (
            "no_rights",
            _("the token's owner may not do this: open the application as an administrator"),
        )
        SCOPE = "scope", _("the application lacks the scope bizproc")
        WRONG_CLIENT = "wrong_client", _("the token server does not know our client id and secret")
        KEY_MISSING = "key_missing", _("no key of ENCRYPTION_KEYS opens what is stored for it")
        MOVED = "moved", _("the portal answers with a redirect: it may have moved")
        UNREACHABLE = "unreachable", _("the portal does not answer")
        LIMITED = "limited", _("the portal limits us")

    class Source(models.TextChoices):
        """Where a guess comes from."""

        DEFAULT = "default", _("default")
        LANGUAGE = "language", _("guessed from the portal's language")
        LEARNED = "learned", _("learned from values")
        SERVER = "server", _("told by the portal")
        PERSON = "person", _("set by a person")

    class DateFormat(models.TextChoices):
        """Order of day, month and year in the portal's site format (contract §6)."""

        DMY = "DMY", _("DD.MM.YYYY")
        MDY = "MDY", _("MM/DD/YYYY")
        YMD = "YMD", _("YYYY-MM-DD")

    class Instances(models.TextChoices):
        """How `bizproc.workflow.instances` can be asked here (contract §7)."""

        UNKNOWN = "unknown", _("not tried yet")
        LIST = "list", _("many ids at once")
        SINGLE = "single", _("one id at a time")
        ABSENT = "absent", _("not observable on this plan")

    application = models.ForeignKey(
        Application, on_delete=models.PROTECT, related_name="portals", verbose_name=_("application")
    )
    member_id = models.CharField(
        _("member id"), max_length=64, validators=[RegexValidator(r"^[0-9a-zA-Z]{1,64}$")]
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.INSTALLED)
    # Raised at each install, uninstall and change of application_token; acceptance inserts only on it.
    installation = models.PositiveIntegerField(_("installation"), default=1)
    domain = models.CharField(_("domain"), max_length=255, blank=True)
    client_endpoint = models.CharField(_("REST address"), max_length=500, blank=True)
    token_server = models.CharField(_("token server"), max_length=255, blank=True)

    token_state = models.CharField(_("token"), max_length=12, choices=Token, default=Token.NONE)
    access_token = EncryptedTextField(_("access token"))
    access_expires_at = models.DateTimeField(_("access token expires"), null=True, blank=True)
    refresh_token = EncryptedTextField(_("refresh token"))
    refreshed_at = models.DateTimeField(_("token refreshed"), null=True, blank=True)
    token_user_id = models.BigIntegerField(_("token's user"), null=True, blank=True)
    token_is_admin = models.BooleanField(_("token is an administrator's"), null=True, blank=True)
    scope = models.CharField(_("scope"), max_length=1000, blank=True)
    app_status = models.CharField(_("application status"), max_length=8, blank=True)
    application_token = EncryptedTextField(_("application token"))
    # Calls that were in the queue at an update carry the former one: taken until then (§3).
    former_application_token = EncryptedTextField(_("former application token"))
    former_until = models.DateTimeField(null=True, blank=True)
    # A person who is no administrator brought another one (contract §3): not taken, yet it may be the true one.
    untaken_token_at = models.DateTimeField(_("another application token told"), null=True, blank=True)

    trouble = models.CharField(_("trouble"), max_length=20, choices=Trouble, blank=True, default="")
    trouble_text = models.CharField(_("what the portal said"), max_length=500, blank=True)
    trouble_since = models.DateTimeField(_("trouble since"), null=True, blank=True)
    ask_again_at = models.DateTimeField(_("asked again at"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)

    language = models.CharField(_("language"), max_length=10, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    time_zone_source = models.CharField(max_length=10, choices=Source, default=Source.DEFAULT)
    date_format = models.CharField(_("date format"), max_length=3, choices=DateFormat, default=DateFormat.DMY)
    date_format_source = models.CharField(max_length=10, choices=Source, default=Source.DEFAULT)
    # Of a learned one: values that spoke for it less those against it, up to a few.
    date_format_proofs = models.PositiveSmallIntegerField(default=0)

    # Learned of the portal (§5, §7): null is not known yet.
    has_workflows = models.BooleanField(_("plan has workflows"), null=True, blank=True)
    has_robots = models.BooleanField(_("plan has robots"), null=True, blank=True)
    is_cloud = models.BooleanField(_("cloud"), null=True, blank=True)
    install_finished = models.BooleanField(_("installation finished"), null=True, blank=True)
    instances = models.CharField(
        _("process look-up"), max_length=8, choices=Instances, default=Instances.UNKNOWN
    )
    send_delay = models.FloatField(_("learned delay before a first send, seconds"), default=0.0)
    # Its clock less ours, from its answers' `time`: calls name their time by it.
    clock_ahead = models.FloatField(_("its clock is ahead of ours, seconds"), default=0.0)
    batch_size = models.PositiveSmallIntegerField(_("learned batch size"), default=50)

    # Installed, and nobody has yet written down what robots it is given; the robots' sweep does so for who died.
    robots_owed = models.BooleanField(default=False)
    events_bound_to = models.CharField(_("events bound to"), max_length=1000, blank=True)
    installed_at = models.DateTimeField(_("installed"), null=True, blank=True)
    uninstalled_at = models.DateTimeField(_("uninstalled"), null=True, blank=True)
    # A person had it forgotten: out of the lists, secrets deleted; counts until it is installed again.
    forgotten_at = models.DateTimeField(_("forgotten"), null=True, blank=True)
    answered_at = models.DateTimeField(_("last answered"), null=True, blank=True)
    groups = models.ManyToManyField(PortalGroup, blank=True, related_name="portals", verbose_name=_("groups"))
    note = models.CharField(_("note"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("portal")
        verbose_name_plural = _("portals")
        ordering = ["domain", "id"]
        constraints = [
            models.UniqueConstraint(fields=["application", "member_id"], name="portal_once_an_application"),
        ]
        indexes = [models.Index(fields=["member_id"], name="portal_member")]

    def __str__(self) -> str:
        return self.domain or self.member_id

    @property
    def has_working_token(self) -> bool:
        """That of a dismissed person is none."""
        return self.token_state == self.Token.WORKING and self.trouble != self.Trouble.USER_DISMISSED


class PendingInstallation(models.Model):
    """A form that claims an installation and waits for the token server; nothing of it is trusted (§3).

    One that came to nothing is kept a while without its claim, so that it does not vanish unseen.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the token server")
        REFUSED = "refused", _("refused")
        GIVEN_UP = "given_up", _("given up")

    application = models.ForeignKey(Application, on_delete=models.CASCADE, verbose_name=_("application"))
    member_id = models.CharField(_("member id"), max_length=64)
    # Distinguishes two claims for one member_id: a forged one must not push a true one out.
    claim_hash = models.BinaryField(max_length=32)
    application_token_hash = models.BinaryField(max_length=32)
    way = models.CharField(_("way"), max_length=8)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    # The claim as JSON: tokens, server, domain, language; '' once it waits no longer.
    claim = EncryptedTextField(_("claim"))
    received_at = models.DateTimeField(_("received"))
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("pending installation")
        verbose_name_plural = _("pending installations")
        constraints = [
            models.UniqueConstraint(
                fields=["application", "member_id", "claim_hash"], name="pending_claim_once"
            ),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="pending_due")]

    def __str__(self) -> str:
        return f"{self.application_id}/{self.member_id}"


class SpentToken(models.Model):
    """A refresh token that was handed to a token server, by its hash: never to be used again (§2)."""

    # The constraint below is its index.
    application = models.ForeignKey(Application, on_delete=models.CASCADE, db_index=False)
    # Whose it was said to be.
    member_id = models.CharField(max_length=64)
    token_hash = models.BinaryField(max_length=32)
    # The token server confirmed it as that portal's, or refused it; null: no answer is known.
    proved = models.BooleanField(null=True)
    spent_at = models.DateTimeField()
    forget_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["application", "token_hash"], name="token_spent_once"),
        ]
        indexes = [
            models.Index(fields=["forget_at"], name="spent_forget"),
            models.Index(fields=["id"], condition=models.Q(proved=False), name="spent_refused"),
        ]

    def __str__(self) -> str:
        return f"{self.application_id}/{self.member_id}"


class Bucket(models.Model):
    """What one portal account still takes (§4): requests of all our applications there together.

    `level` drains at `rate` a second since `level_at`; a request may go where it stays within `capacity`.
    """

    member_id = models.CharField(_("member id"), max_length=64, unique=True)
    level = models.FloatField(default=0.0)
    level_at = models.DateTimeField()
    # Limits of this account (Enterprise: 250 and 5); empty is what BUCKET_BURST and BUCKET_RATE say.
    capacity = models.FloatField(_("burst, requests"), null=True, blank=True)
    rate = models.FloatField(_("requests a second"), null=True, blank=True)
    blocked_until = models.DateTimeField(_("blocked until"), null=True, blank=True)
    # How long the last block was; the next one soon after it is longer.
    blocked_seconds = models.FloatField(default=0.0)
    # As the portal last told: {"application id:method": {"seconds", "reset_at": unix, "blocked_until":
    # unix}}.
    operating = models.JSONField(default=dict, blank=True)
    limited = models.PositiveIntegerField(_("times limited"), default=0)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("bucket")
        verbose_name_plural = _("buckets")

    def __str__(self) -> str:
        return self.member_id


class Lease(models.Model):
    """The right to do one thing, for a while: refresh a token, send to a portal, push, compute.

    `fence` grows at every taking, so that what an overtaken owner writes can be told from the present one's.
    """

    name = models.CharField(max_length=200, unique=True)
    owner = models.CharField(max_length=100, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class PortalSetting(models.Model):
    """A value that robots read on one portal: `call.portal.settings["erp_key"]`; never shown again."""

    portal = models.ForeignKey(
        Portal, on_delete=models.CASCADE, related_name="settings", verbose_name=_("portal")
    )
    name = models.CharField(
        _("name"), max_length=64, validators=[RegexValidator(r"^[a-zA-Z][a-zA-Z0-9_.\-]*$")]
    )
    value = EncryptedTextField(_("value"))
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("setting of a portal")
        verbose_name_plural = _("settings of portals")
        ordering = ["portal", "name"]
        constraints = [
            models.UniqueConstraint(fields=["portal", "name"], name="setting_name_once_a_portal"),
        ]

    def __str__(self) -> str:
        return self.name
