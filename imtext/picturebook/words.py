"""The lexicon: synonyms in falling order of use. Every entry is drawn with a Zipf weight of its rank."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate


def entries(text: str) -> tuple[str, ...]:
    """The entries of a list separated by commas.

    >>> entries("dog, hot dog")
    ('dog', 'hot dog')
    """
    return tuple(" ".join(part.split()) for part in text.split(","))


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Lines of `key: entry, entry, ...`; an indented line goes on with the one before.

    >>> table("a: b,\\n    c")
    {'a': ('b', 'c')}
    """
    lines = text.strip().replace("\n    ", " ").split("\n")
    return {key: entries(rest) for key, _, rest in (line.partition(":") for line in lines)}


NAMES = table("""
man: man, man, guy, gentleman, fellow, adult, dude, chap, bloke, father
woman: woman, woman, lady, female, mother, adult, gal, madam
boy: boy, boy, kid, child, youngster, lad, toddler, son
girl: girl, girl, child, kid, youngster, toddler, daughter, lass
dog: dog, dog, dog, puppy, hound, canine, pup, pooch, mutt
cat: cat, cat, cat, kitten, kitty, feline, tabby, tomcat
horse: horse, horse, pony, stallion, mare, foal, steed, colt
cow: cow, cow, cattle, bull, calf, heifer, ox
sheep: sheep, sheep, lamb, ewe, ram
pig: pig, pig, piglet, hog, swine, boar
elephant: elephant, elephant, elephant, pachyderm, mammoth
rabbit: rabbit, bunny, rabbit, hare, bunny rabbit
duck: duck, duck, duckling, waterfowl, mallard
bird: bird, bird, songbird, sparrow, finch, robin, fowl
car: car, car, automobile, sedan, hatchback, taxi, convertible
bus: bus, bus, coach, shuttle, minibus
truck: truck, truck, lorry, pickup, hauler, rig
tractor: tractor, tractor, farm vehicle, farm machine, plow
bicycle: bike, bicycle, bike, cycle, mountain bike
scooter: scooter, scooter, kick scooter
boat: boat, sailboat, boat, ship, yacht, vessel, dinghy, sloop
sled: sled, sled, sledge, sleigh, toboggan
skateboard: skateboard, skateboard, board, longboard
surfboard: surfboard, surfboard, board, longboard
ball: ball, ball, toy ball, beach ball, soccer ball, football
frisbee: frisbee, frisbee, disc, flying disc
balloon: balloon, balloon, helium balloon, party balloon
kite: kite, kite, paper kite, diamond kite
umbrella: umbrella, umbrella, parasol, sunshade
bench: bench, bench, seat, wooden bench
chair: chair, chair, seat, stool, dining chair
table: table, table, desk, small table, tabletop
sofa: sofa, couch, sofa, settee, loveseat, divan
lamp: lamp, lamp, floor lamp, light, lantern
plant: plant, potted plant, houseplant, fern, shrub, potted palm
television: television, tv, television set, screen, telly
tent: tent, tent, camping tent, canopy, shelter
campfire: campfire, fire, campfire, bonfire, blaze
box: box, box, crate, carton, package, cube, chest
bucket: bucket, bucket, pail, tub
basket: basket, basket, picnic basket, hamper, wicker basket
suitcase: suitcase, suitcase, bag, luggage, trunk, briefcase
sandcastle: sandcastle, sand castle, castle, sandcastle, fortress
snowman: snowman, snowman, snow figure, frosty
hydrant: fire hydrant, hydrant, fire hydrant, fireplug
mailbox: mailbox, mailbox, letterbox, postbox
sign: sign, sign, signpost, road sign, placard
flag: flag, flag, banner, pennant, ensign
guitar: guitar, guitar, acoustic guitar, ukulele, instrument
drum: drum, drum, snare, instrument
book: book, book, novel, notebook, paperback, textbook
barbell: barbell, barbell, weight, heavy weight, dumbbell
cake: cake, cake, birthday cake, dessert, pastry
flowers: bunch of flowers, bouquet, bunch of roses, bouquet of flowers, posy
stick: stick, stick, branch, twig
""")
PLURALS = dict(
    pair.split("=")
    for pair in entries("""
man=men, woman=women, child=children, lady=ladies, gentleman=gentlemen, sheep=sheep, cattle=cattle,
swine=swine, calf=calves, ox=oxen, bus=buses, bunny=bunnies, kitty=kitties, pony=ponies, tabby=tabbies,
waterfowl=waterfowl, person=people, box=boxes, bench=benches, lorry=lorries, luggage=bags, frosty=snowmen,
snowman=snowmen, fortress=fortresses, lass=lasses, finch=finches, pooch=pooches, bunch=bunches, bunch of
flowers=bunches of flowers, dinghy=dinghies, bunch of roses=bunches of roses, bouquet of flowers=bouquets
of flowers, posy=posies, branch=branches, mailbox=mailboxes, letterbox=letterboxes, postbox=postboxes,
chest=chests, couch=couches, snow figure=snow figures
""")
)
HYPERNYMS = table("""
man: person, person, someone, adult, individual, pedestrian, human
woman: person, person, someone, adult, individual, pedestrian, human
boy: child, kid, person, little one, youth, youngster
girl: child, kid, person, little one, youth, youngster
animals: animal, animal, pet, creature, beast, critter
vehicles: vehicle, vehicle, machine, conveyance
other: object, thing, item
instruments: musical instrument, instrument
""")
FARM = {"horse", "cow", "sheep", "pig", "elephant", "bird", "duck"}  # never "pet"

COLOUR_WORDS = table("""
red: red, red, red, bright red, dark red, crimson, scarlet, ruby
orange: orange, orange, orange, bright orange, tangerine, amber
yellow: yellow, yellow, yellow, bright yellow, golden, lemon, mustard
green: green, green, green, dark green, emerald, olive, leafy green
blue: blue, blue, blue, dark blue, royal blue, navy, cobalt, azure
purple: purple, purple, violet, purple, dark purple, lilac, mauve
pink: pink, pink, pink, light pink, rose, salmon, magenta
brown: brown, brown, brown, dark brown, chocolate, chestnut, mahogany
black: black, black, black, dark, jet black, ebony
white: white, white, white, snowy white, pale, ivory, cream
gray: gray, grey, gray, silver, light gray, ashen, slate
turquoise: turquoise, teal, turquoise, aqua, cyan, light blue
tan: tan, tan, light brown, beige, sandy, golden
blond: blond, blonde, fair, golden, flaxen
""")
HAIR_RED = ("red", "ginger", "auburn", "copper")
SIZE_WORDS = table("""
small: small, little, small, tiny, mini, miniature, petite, dainty
big: big, large, big, huge, giant, enormous, massive, gigantic, hulking, colossal
""")
PATTERN_WORDS = table("""
spotted: spotted, spotted, patchy, dotted, speckled, dappled
striped: striped, striped, lined, banded
""")
COUNT_WORDS = {
    int(n): words
    for n, words in table("""
2: two, two, two, a pair of, a couple of, both, twin
3: three, three, three, a group of, a few, several, a trio of
4: four, four, four, several, a group of, a bunch of, many, a quartet of
""").items()
}
CLOTHES_WORDS = table("""
shirt: shirt, shirt, t-shirt, top, tee, jersey, blouse, tunic
jacket: jacket, jacket, coat, hoodie, parka, windbreaker, blazer
sweater: sweater, sweater, pullover, jumper, sweatshirt, cardigan
vest: vest, vest, tank top, waistcoat, singlet
dress: dress, dress, gown, sundress, frock
pants: pants, pants, trousers, slacks, leggings, khakis
jeans: jeans, jeans, denim pants, denim jeans, dungarees
shorts: shorts, shorts, short pants, trunks
skirt: skirt, skirt, miniskirt, kilt
cap: cap, cap, baseball cap, hat, visor
helmet: helmet, helmet, hard hat, safety helmet
beanie: beanie, hat, knit hat, wool hat, toque
sunhat: hat, sun hat, wide hat, straw hat, sombrero
backpack: backpack, backpack, bag, rucksack, knapsack
scarf: scarf, scarf, shawl, muffler
sunglasses: sunglasses, sunglasses, glasses, shades, goggles
beard: beard, beard, goatee, whiskers
""")
PLURAL_CLOTHES = set(
    entries("""
denim jeans, denim pants, dungarees, glasses, goggles, jeans, khakis, leggings, pants, shades, short
pants, shorts, slacks, sunglasses, trousers, trunks, whiskers
""")
)

VERBS = table("""
standing: stand, stand, wait, pose, stay, rest, linger, loiter
walking: walk, walk, stroll, wander, hike, stride, march, trudge, amble, saunter
running: run, run, race, jog, sprint, dash, charge, bolt, scamper, gallop
jumping: jump, jump, leap, hop, bounce, spring, bound, soar
sitting: sit, sit, rest, relax, lounge, squat
lying: lie, lie down, rest, sleep, nap, doze, slumber, recline
waving: wave, wave, greet someone, gesture, signal, beckon
dancing: dance, dance, groove, twirl, prance, whirl
crouching: crouch, squat, kneel
flying: fly, fly, soar, glide, hover, swoop
floating: float, float, drift, hover, bob
parked: be parked, be parked, stand, wait, be stopped, idle
driving: drive, drive, roll, move, pass, cruise, speed, rumble
sailing: sail, sail, float, drift, cruise, bob
burning: burn, burn, glow, crackle, smolder, flicker
""")
GROUND_VERBS = entries("""
stand, be seen, sit, lie, rest, wait
""")
DEED_VERBS = table("""
throwing: throw, throw, toss, hurl, pitch, fling, lob, sling
kicking: kick, kick, boot, strike, punt
holding: hold, hold, carry, clutch, grip, grasp, clasp
carrying: carry, carry, hold, bring, lug, haul, tote
flying: fly, fly, steer, play with, handle
riding: ride, ride, steer, straddle, balance on, cruise on, maneuver
leading: walk, walk with, walk, lead, accompany, escort
playing: play, play, strum, perform with, practice
reading: read, read, study, look at, browse, peruse
lifting: lift, lift, raise, hoist, press, heave
mouth: carry, hold, bring back, fetch, chew, retrieve, bite
""")
ON_WORDS = entries("""
on, on, on top of, upon, atop
""")
SPATIAL = table("""
left of: to the left of, on the left of, left of, at the left side of
right of: to the right of, on the right of, right of, at the right side of
next to: next to, beside, near, by, close to, alongside, not far from, adjacent to
behind: behind, behind, in back of, beyond
in front of: in front of, in front of, before, ahead of
""")

# preposition|noun with an article to come, or words as they are
PLACES = table("""
park: in|park, in|park, on|grass, at|park, in|grass, on|lawn, in|green park, in|garden, on|grassy lawn,
    in|public park
beach: on|beach, on|beach, at|beach, on|sand, by|sea, near|ocean, by|water, on|sandy beach, on|shore,
    at|seaside, on|coast
snow: in|snow, in|snow, on|snow, on|snowy hill, on|ski slope, in|deep snow, in|winter, on|snowy ground,
    in|alps
street: on|street, on|street, in|city, on|road, in|town, on|sidewalk, downtown, on|pavement, in|urban
    area, along|avenue
night: at night, at night, in|city at night, on|dark street, at night in|city, in|dark, under|night sky,
    after dark, at midnight, under|stars, on|moonlit road
gym: in|gym, in|gym, at|gym, in|gymnasium, on|wooden floor, on|court, indoors, at|fitness center,
    in|sports hall
kitchen: in|kitchen, in|kitchen, in|kitchen, on|kitchen floor, on|tiled floor, indoors, in|house, at home,
    in|cafeteria
living room: in|living room, in|living room, in|room, in|lounge, on|carpet, at home, indoors, in|house,
    on|rug, in|apartment, in|parlor
field: in|field, in|field, on|farm, in|meadow, on|grass, in|pasture, on|green field, in|countryside,
    on|ranch, on|prairie
forest: in|forest, in|woods, in|forest, among|trees, in|deep woods, on|forest path, in|wilderness,
    on|trail, in|grove
lake: by|lake, at|lake, by|lake, near|water, on|shore, next to|lake, by|pond, near|river, on|bank,
    at|waterside, on|shoreline
desert: in|desert, in|desert, on|sand, in|dry desert, on|dune, in|arid desert, in|wasteland, among|dunes,
    under|desert sun
""")
SKY_WORDS = table("""
sunny: on a sunny day, under a blue sky, in the sun, on a bright day, in sunshine, on a clear day, on a
    summer day
cloudy: on a cloudy day, under a gray sky, under the clouds, on an overcast day, on a dull day, on a
    gloomy day
sunset: at sunset, at dusk, in the evening, under an orange sky, during sunset, at twilight, in the
    evening light
rainy: in the rain, on a rainy day, during a shower, in the pouring rain, in wet weather, during a storm,
    in a drizzle
snowing: in falling snow, while it is snowing, during a snowfall, in a snowstorm, in winter weather, in a
    blizzard
starry: under the stars, late at night, in the dark, in the moonlight
indoor: inside, indoors
""")
FEATURES = table("""
fountain: fountain, fountain, water fountain, water feature
lamp post: lamp post, street lamp, streetlight, light pole
fence: fence, fence, wooden fence, railing, picket fence
flower bed: flower bed, flowers, blossoms, tulips, daisies
pond: pond, pond, pool, puddle
palm tree: palm tree, palm, palm tree, coconut tree
lighthouse: lighthouse, lighthouse, tower, beacon
island: island, small island, island, isle
rocks: rocks, rocks, stones, boulders, big rocks
mountain: mountain, mountains, mountain, peak, snowy mountain, summit
cabin: cabin, house, cabin, hut, cottage, lodge
pine trees: pine trees, trees, fir trees, evergreens, spruces
traffic light: traffic light, traffic light, stoplight, traffic signal
shop: shop, store, shop window, awning, storefront, bakery
hedge: hedge, hedge, bushes, shrubs, bush
moon: moon, full moon, moon, bright moon
tower: tower, clock tower, tall tower, tall building, skyscraper
hoop: basketball hoop, hoop, basket, basketball net, backboard
mirror: mirror, mirror, large mirror, looking glass
wall bars: wall bars, bars, climbing bars, ladder
clock: clock, clock, wall clock, timepiece
stove: stove, stove, oven, cooker, range
refrigerator: refrigerator, fridge, refrigerator, freezer
window: window, window, large window, windowpane
painting: painting, picture, painting, framed picture, artwork, portrait
fireplace: fireplace, fireplace, hearth, chimney
bookcase: bookcase, bookshelf, shelf, shelves, bookcase
barn: barn, red barn, barn, farmhouse, stable, shed
windmill: windmill, windmill, mill
hay bale: hay bale, bale of hay, haystack, straw bale
log: log, fallen tree, log, tree trunk, timber
mushrooms: mushrooms, red mushrooms, toadstools, fungi
stream: stream, creek, stream, brook, river
dock: dock, pier, wooden dock, jetty, wharf
reeds: reeds, tall grass, reeds, cattails
cactus: cactus, cactus, cacti, tall cactus, green cactus
pyramid: pyramid, pyramid, ancient pyramid, monument
vultures: vultures, birds, flying birds, buzzards
""")
PLURAL_FEATURES = set(
    entries("""
bars, big rocks, birds, blossoms, boulders, bushes, buzzards, cacti, cattails, climbing bars, daisies,
evergreens, fir trees, flowers, flying birds, fungi, mountains, mushrooms, pine trees, red mushrooms,
reeds, rocks, shelves, shrubs, spruces, stones, tall grass, toadstools, trees, tulips, vultures, wall bars
""")
)
GENERIC_OUT = entries("""
someone is outside, {who} is outdoors, {who} is outside, a scene in the open air, {who} out in the open,
{who} spending time outside, {who} enjoying the day, an outdoor scene with {who}
""")
GENERIC_IN = entries("""
someone is inside, {who} is indoors, {who} inside a building, a scene inside a room, {who} spending time
indoors, an indoor scene with {who}, {who} in a room
""")


@lru_cache(maxsize=4096)
def _cumulative(n: int, exponent: float) -> tuple[float, ...]:
    return tuple(accumulate((r + 1.0) ** -exponent for r in range(n)))


def pick(rng: random.Random, options: Sequence[str], exponent: float = 1.2) -> str:
    """One of `options`, the r-th with weight r to the power of minus `exponent`.

    >>> pick(random.Random(1), ("dog",))
    'dog'
    """
    table = _cumulative(len(options), exponent)
    at = rng.random() * table[-1]
    for option, edge in zip(options, table, strict=True):
        if at < edge:
            return option
    return options[-1]
