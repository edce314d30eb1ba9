//! The service API: a service of the customer acts for a member and supplies the facts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::member::{Command, Outcome, Warrant};
use domain::{KeyThumbprint, Member, MemberFacts, MemberId, TitleFacts, TitleId};
use drm::jwk::Jwk;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer;
use crate::caller::ServiceCaller;
use crate::extract::{self, Path, RequiredKey};
use crate::language::AcceptLanguage;
use crate::ledger::{self, Accepted, title_facts};
use crate::offline;
use crate::problem::{Problem, ProblemDocument};
use crate::routes::{check_in, devices};
use crate::state::AppState;
use crate::wire::command::{
    Command as AskedCommand, CommandsAnswer, CommandsBody, HeldOutcome, Outcome as ToldOutcome,
};
use crate::wire::license::how;
use crate::wire::membership::{
    ExceptionEndedAnswer, ExceptionGrantedAnswer, Leaving, RevokedAnswer, allowance, warrant,
};
use crate::wire::refusal::CapState;
use crate::wire::scalar::{Key, License, Member as MemberRef};

const COMMANDS_MAX: usize = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MemberPath {
    pub(crate) member: MemberRef,
}

/// Decides a list of commands for one member, together or not at all.
#[utoipa::path(
    post,
    path = "/v1/service/members/{member}/commands",
    tag = "service",
    params(MemberPath, ("Idempotency-Key" = String, Header, description = "A new one for each request, the same for its retries"), AcceptLanguage),
    request_body = CommandsBody,
    security(("service" = [])),
    responses(
        (status = 200, body = CommandsAnswer),
        (status = 403, description = "Refused: one refusal for the list, or the role is missing", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn commands(
    State(state): State<Arc<AppState>>,
    caller: ServiceCaller,
    RequiredKey(key): RequiredKey,
    Path(MemberPath { member }): Path<MemberPath>,
    extract::Json(body): extract::Json<CommandsBody>,
) -> Result<Response, Problem> {
    if !(1..=COMMANDS_MAX).contains(&body.commands.len()) {
        let message = format!("send 1 to {COMMANDS_MAX} commands, not {}", body.commands.len());
        return Err(Problem::invalid("commands", message));
    }
    let facts = MemberFacts::from(body.facts);
    // Only a renewal has to ask which title its license is for.
    let known = match body.commands.iter().any(AskedCommand::leaves_title_open) {
        true => state.engine.member(&member.0).await?.1,
        false => Arc::default(),
    };
    let reading = Reading { state: &state, member: &known, facts: &facts, caller: &caller.name };
    let mut commands = Vec::with_capacity(body.commands.len());
    let mut renews = Vec::with_capacity(body.commands.len());
    for (position, command) in body.commands.into_iter().enumerate() {
        renews.push(matches!(command, AskedCommand::Renew { .. }));
        commands.push(reading.command(position, command)?);
    }
    let accepted = ledger::decide(&state, &member.0, &facts, Some(key.clone()), commands).await?;
    let mut outcomes = Vec::with_capacity(accepted.outcomes.len());
    for (outcome, renew) in accepted.outcomes.iter().zip(renews) {
        let caps = accepted.caps(&state, &facts, outcome);
        outcomes.push(told(&state, &member.0, &facts, &accepted, outcome, renew, caps).await?);
    }
    let (at, repeated) = (accepted.at().into(), accepted.repeated);
    answer::json(StatusCode::OK, &CommandsAnswer { at, repeated, outcomes })
}

/// What commands are completed with.
struct Reading<'a> {
    state: &'a AppState,
    member: &'a Member,
    facts: &'a MemberFacts,
    caller: &'a str,
}

impl Reading<'_> {
    fn command(&self, position: usize, asked: AskedCommand) -> Result<Command, Problem> {
        let field = |name: &str| format!("commands[{position}].{name}");
        Ok(match asked {
            AskedCommand::Acquire { device, title, title_facts } => Command::Acquire {
                title_facts: title_facts.map(Into::into).or_else(|| self.title_facts(&title.0)),
                device: device.0,
                title: title.0,
                license: self.state.ids.license(),
            },
            AskedCommand::Renew { device, license, term, automatic, title_facts } => {
                let title = self.member.license(&license.0).map(|license| &license.title);
                let given = title_facts.map(Into::into);
                let title_facts = given.or_else(|| title.and_then(|id| self.title_facts(id)));
                Command::Renew {
                    device: device.0,
                    license: license.0,
                    term,
                    title_facts,
                    automatic,
                }
            }
            AskedCommand::Release { license, device } => {
                Command::Release { by: device.map(|id| id.0), license: license.0 }
            }
            AskedCommand::RegisterDevice { device, name, class, jwk, key_thumbprint } => {
                Command::RegisterDevice {
                    device: device.0,
                    class: class.into(),
                    key: thumbprint(&field("jwk"), jwk.as_ref(), key_thumbprint)?,
                    name: devices::name(&field("name"), name)?,
                }
            }
            AskedCommand::RemoveDevice { device } => Command::RemoveDevice { device: device.0 },
            AskedCommand::CheckIn { device, holdings } => Command::CheckIn {
                device: device.0,
                holdings: check_in::holdings(&field("holdings"), holdings)?,
            },
            AskedCommand::ChangeMember => self.change_member()?,
            AskedCommand::LapseMembership => Command::LapseMembership,
            AskedCommand::ResumeMembership => Command::ResumeMembership { warrant: None },
            AskedCommand::Revoke { target, actor, reason } => Command::Revoke {
                target: target.into(),
                warrant: self.warrant(field, actor, reason)?,
            },
            AskedCommand::WithdrawTitle { title } => Command::WithdrawTitle { title: title.0 },
            AskedCommand::GrantException { rule, amount, until, actor, reason } => {
                let allowance = allowance(field, rule, amount.unwrap_or(1), until)?;
                Command::GrantException {
                    exception: self.state.ids.exception(),
                    allowance,
                    warrant: self.warrant(field, actor, reason)?,
                }
            }
            AskedCommand::EndException { exception, actor, reason } => Command::EndException {
                exception: exception.0,
                warrant: self.warrant(field, actor, reason)?,
            },
        })
    }

    fn change_member(&self) -> Result<Command, Problem> {
        // A member of no known plan and place is a body that was forgotten.
        if self.facts.plan.is_none() && self.facts.territory.is_none() {
            return Err(Problem::invalid("facts", "say the new plan and territory"));
        }
        Ok(Command::ChangeMember)
    }

    fn warrant(
        &self,
        field: impl Fn(&str) -> String,
        actor: Option<String>,
        reason: String,
    ) -> Result<Warrant, Problem> {
        warrant(field, actor.unwrap_or_else(|| self.caller.to_owned()), reason)
    }

    fn title_facts(&self, title: &TitleId) -> Option<TitleFacts> {
        let territory = self.facts.territory.as_ref();
        title_facts(&self.state.catalogue.load(), title, territory, self.state.now())
    }
}

fn thumbprint(
    field: &str,
    jwk: Option<&Jwk>,
    given: Option<Key>,
) -> Result<KeyThumbprint, Problem> {
    match (jwk, given) {
        (Some(jwk), None) => devices::thumbprint(field, jwk),
        // Any other text would be a device that no key ever proves to be.
        (None, Some(Key { 0: given })) => match URL_SAFE_NO_PAD.decode(given.as_str()) {
            Ok(bytes) if bytes.len() == 32 => Ok(given),
            _ => Err(Problem::invalid(
                field.replace(".jwk", ".key_thumbprint"),
                "a thumbprint (RFC 7638) is SHA-256 in base64url without padding: 43 characters",
            )),
        },
        _ => Err(Problem::invalid(field, "give one of `jwk` and `key_thumbprint`")),
    }
}

async fn told(
    state: &AppState,
    member: &MemberId,
    facts: &MemberFacts,
    accepted: &Accepted,
    outcome: &Outcome,
    renew: bool,
    caps: Vec<CapState>,
) -> Result<ToldOutcome, Problem> {
    Ok(match outcome {
        Outcome::Held { license, term, how: held } => {
            let luggage = offline::pack(state, member, facts, accepted, license, None).await?;
            let held = HeldOutcome {
                license: license.into(),
                term: *term,
                outcome: how(*held),
                caps,
                lease: luggage.lease,
                grant: luggage.grant,
            };
            if renew { ToldOutcome::Renew(held) } else { ToldOutcome::Acquire(held) }
        }
        Outcome::Released { license, already } => {
            ToldOutcome::Release { license: license.into(), already: *already }
        }
        Outcome::DeviceRegistered { device, already } => {
            ToldOutcome::RegisterDevice { device: device.into(), already: *already, caps }
        }
        Outcome::DeviceRemoved { device, closed } => ToldOutcome::RemoveDevice {
            device: device.into(),
            closed: closed.iter().map(License::from).collect(),
            caps,
        },
        Outcome::CheckedIn(checked_in) => {
            ToldOutcome::CheckIn(check_in::answer(state, member, accepted, checked_in)?)
        }
        Outcome::MemberChanged { leaving } => {
            ToldOutcome::ChangeMember { leaving: leaving.iter().map(Leaving::from).collect() }
        }
        Outcome::MembershipLapsed { already } => ToldOutcome::LapseMembership { already: *already },
        Outcome::MembershipResumed { already } => {
            ToldOutcome::ResumeMembership { already: *already }
        }
        Outcome::Revoked { closed, already } => ToldOutcome::Revoke(RevokedAnswer {
            closed: closed.iter().map(License::from).collect(),
            already: *already,
        }),
        Outcome::TitleWithdrawn { closed } => {
            ToldOutcome::WithdrawTitle { closed: closed.iter().map(License::from).collect() }
        }
        Outcome::ExceptionGranted { exception } => {
            ToldOutcome::GrantException(ExceptionGrantedAnswer { exception: exception.into() })
        }
        Outcome::ExceptionEnded { exception, already } => {
            ToldOutcome::EndException(ExceptionEndedAnswer {
                exception: exception.into(),
                already: *already,
            })
        }
        Outcome::PlaysRecorded { .. } | Outcome::DrmFailureRecorded { .. } => {
            return Err(ledger::unexpected());
        }
    })
}
