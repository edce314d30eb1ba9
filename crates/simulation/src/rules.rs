//! The numbers a world is played by: written down as a policy for the ledger, and told as plain
//! numbers to the auditor.

use domain::Timestamp;

use crate::random::Random;

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// The title whose own cap replaces the default one by its id.
pub(crate) const TITLE_WITH_OWN_CAP: &str = "fjord";
/// The partner with caps of its own.
pub(crate) const STRICT_PARTNER: &str = "north";
/// The partner whose titles only the premium plan may take offline.
pub(crate) const PREMIUM_PARTNER: &str = "south";
pub(crate) const PREMIUM: &str = "premium";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    pub(crate) effective_from: i64,
    pub(crate) start_within_days: i64,
    pub(crate) finish_within_hours: i64,
    /// 0: no check-in clock.
    pub(crate) check_in_within_days: i64,
    pub(crate) grace_hours: i64,
    pub(crate) running_play_hours: i64,
    pub(crate) renewals_max: u32,
    pub(crate) renew_before_end_days: i64,
    pub(crate) device_active: u32,
    pub(crate) member_active: u32,
    pub(crate) member_active_premium: u32,
    pub(crate) devices_holding: u32,
    pub(crate) devices_holding_premium: u32,
    pub(crate) partner_active: u32,
    pub(crate) partner_rolling: u32,
    pub(crate) partner_rolling_hours: i64,
    pub(crate) title_week: u32,
    pub(crate) own_title_week: u32,
    pub(crate) member_rolling: u32,
    pub(crate) member_rolling_days: i64,
}

impl Rules {
    pub(crate) fn random(name: &'static str, effective_from: i64, random: &mut Random) -> Self {
        let mut limit = |low, high| u32::try_from(random.within(low, high)).unwrap_or(1);
        let (device_active, member_active) = (limit(1, 3), limit(2, 4));
        let (devices_holding, partner_active) = (limit(1, 2), limit(1, 3));
        Self {
            name,
            effective_from,
            device_active,
            member_active,
            member_active_premium: member_active + limit(0, 4),
            devices_holding,
            devices_holding_premium: devices_holding + limit(0, 2),
            partner_active,
            partner_rolling: limit(1, 4),
            title_week: limit(1, 3),
            own_title_week: limit(1, 3),
            member_rolling: limit(4, 12),
            renewals_max: limit(0, 3),
            start_within_days: random.within(2, 30),
            finish_within_hours: random.within(12, 72),
            // Where there is none, an early lease may outlast those of later terms.
            check_in_within_days: if random.permille(500) { 0 } else { random.within(1, 9) },
            grace_hours: random.within(0, 48),
            running_play_hours: random.within(0, 24),
            renew_before_end_days: random.within(0, 20),
            partner_rolling_hours: random.within(12, 96),
            member_rolling_days: random.within(3, 12),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a policy, written down")]
    pub(crate) fn policy(&self) -> String {
        let effective_from = Timestamp::from_millis(self.effective_from);
        let check_in = match self.check_in_within_days {
            0 => String::new(),
            days => format!("check_in_within = \"{days}d\""),
        };
        format!(
            r#"
format = 1
name = "{name}"
effective_from = {effective_from}
[terms]
start_within = "{start_within_days}d"
finish_within = "{finish_within_hours}h"
{check_in}
grace = "{grace_hours}h"
running_play = "{running_play_hours}h"
end_with_availability = true
renewals_max = {renewals_max}
renew_before_end = "{renew_before_end_days}d"
[[caps]]
id = "device-active"
counts = "active_licenses"
per = ["device"]
limit = {device_active}
[[caps]]
id = "member-active"
counts = "active_licenses"
limit = {{ premium = {member_active_premium}, otherwise = {member_active} }}
[[caps]]
id = "devices-holding"
counts = "devices_holding"
limit = {{ premium = {devices_holding_premium}, otherwise = {devices_holding} }}
[[caps]]
id = "title-week"
counts = "acquisitions"
per = ["title"]
window = {{ calendar = "week", zone = "UTC" }}
limit = {title_week}
[[caps]]
id = "member-rolling"
counts = "acquisitions_and_renewals"
window = {{ rolling = "{member_rolling_days}d" }}
limit = {member_rolling}
guard = 'member.plan != "{PREMIUM}" || title.partner == "{STRICT_PARTNER}"'
[partners.{STRICT_PARTNER}]
[[partners.{STRICT_PARTNER}.caps]]
id = "partner-active"
counts = "active_licenses"
per = ["partner"]
limit = {partner_active}
[[partners.{STRICT_PARTNER}.caps]]
id = "partner-rolling"
counts = "acquisitions"
window = {{ rolling = "{partner_rolling_hours}h" }}
limit = {partner_rolling}
[partners.{PREMIUM_PARTNER}]
[[partners.{PREMIUM_PARTNER}.gates]]
id = "premium-only"
plans = ["{PREMIUM}"]
[titles.{TITLE_WITH_OWN_CAP}]
[[titles.{TITLE_WITH_OWN_CAP}.caps]]
id = "title-week"
counts = "acquisitions"
per = ["title"]
window = {{ calendar = "week", zone = "UTC" }}
limit = {own_title_week}
"#,
            name = self.name,
            start_within_days = self.start_within_days,
            finish_within_hours = self.finish_within_hours,
            grace_hours = self.grace_hours,
            running_play_hours = self.running_play_hours,
            renewals_max = self.renewals_max,
            renew_before_end_days = self.renew_before_end_days,
            device_active = self.device_active,
            member_active = self.member_active,
            member_active_premium = self.member_active_premium,
            devices_holding = self.devices_holding,
            devices_holding_premium = self.devices_holding_premium,
            partner_active = self.partner_active,
            partner_rolling = self.partner_rolling,
            partner_rolling_hours = self.partner_rolling_hours,
            title_week = self.title_week,
            own_title_week = self.own_title_week,
            member_rolling = self.member_rolling,
            member_rolling_days = self.member_rolling_days,
        )
    }
}
