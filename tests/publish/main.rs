//! `oaktap publish`, with mosquitto as the broker, its clients, and the rules of Home Assistant.

#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod home_assistant;
#[cfg(unix)]
mod messages;
#[cfg(unix)]
mod outages;
#[cfg(unix)]
mod publishing;

#[path = "../support/broker.rs"]
#[cfg(unix)]
mod broker;
#[path = "../support/external_tools.rs"]
#[cfg(unix)]
mod external_tools;
#[path = "../support/program.rs"]
#[cfg(unix)]
mod program;
